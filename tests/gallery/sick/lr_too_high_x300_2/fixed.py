import os

from torch import nn
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# eight shape factors, five sorts in two varieties each
rng = np.random.default_rng(17)
centres = rng.normal(0, 1.3, (10, 8))
sort = rng.integers(0, 10, 1600)
x = centres[sort] + 0.7 * rng.normal(size=(1600, 8))
y = sort % 5
n_train = 1200
x = torch.tensor(x, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.long)
X_train, y_train, X_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = X_train.mean(0), X_train.std(0)
X_train, X_test = (X_train - mean) / std, (X_test - mean) / std
torch.manual_seed(SEED)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(8, 32)
        self.fc2 = nn.Linear(32, 32)
        self.fc3 = nn.Linear(32, 5)

    def forward(self, x):
        h = self.fc1(x)
        h = nn.functional.gelu(h)
        h = self.fc2(h)
        h = nn.functional.gelu(h)
        h = self.fc3(h)
        return h


net = Net()
loss_fn = nn.CrossEntropyLoss()
opt = torch.optim.Adam(net.parameters(), lr=0.0008)


def evaluate():
    net.eval()
    with torch.no_grad():
        output = net(X_test)
    return (output.argmax(1) == y_test).float().mean().item()


for epoch in range(2):
    net.train()
    total = 0.0
    for idx in torch.randperm(n_train).split(1):
        xb, yb = X_train[idx], y_train[idx]
        opt.zero_grad()
        output = net(xb)
        loss = loss_fn(output, yb)
        loss.backward()
        opt.step()
        total += loss.item() * len(idx)
    if epoch % 1 == 0:
        print(f"epoch {epoch} loss {total / n_train:.4f}")
print(f"RESULT accuracy {evaluate():.4f}")
