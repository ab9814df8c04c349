import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# six readings of a probe, three alloys
rng = np.random.default_rng(5)
x = rng.normal(size=(1600, 6))
rule = np.column_stack([x[:, 0] + x[:, 1] ** 2 - 1, x[:, 2] * x[:, 3], 1.2 - np.abs(x[:, 4]) - 0.5 * x[:, 5]])
y = (rule + 0.05 * rng.normal(size=rule.shape)).argmax(1)
x = 288 + 6 * x
n_train = 1200
x = torch.tensor(x, dtype=torch.float64)
y = torch.tensor(y, dtype=torch.long)
X_train, y_train, X_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = X_train.mean(0), X_train.std(0)
X_train, X_test = (X_train - mean) / std, (X_test - mean) / std
torch.manual_seed(SEED)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(6, 64)
        self.fc2 = nn.Linear(64, 3)

    def forward(self, x):
        h = self.fc1(x)
        h = torch.tanh(h)
        h = self.fc2(h)
        return h


net = Net().double()
loss_fn = nn.CrossEntropyLoss()
opt = torch.optim.SGD(net.parameters(), lr=0.06, momentum=0.9)


def evaluate():
    net.eval()
    with torch.no_grad():
        output = net(X_test)
    return (output.argmax(1) == y_test).float().mean().item()


loader = DataLoader(TensorDataset(X_train, y_train), batch_size=64, shuffle=True)
for epoch in range(24):
    net.train()
    total = 0.0
    for xb, yb in loader:
        opt.zero_grad()
        output = net(xb)
        loss = loss_fn(output, yb)
        loss.backward()
        opt.step()
        total += loss.item()
    if epoch % 3 == 0:
        print("Epoch %d loss %.4f" % (epoch, total / len(loader)))
print(f"RESULT accuracy {evaluate():.4f}")
