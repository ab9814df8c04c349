import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# 20 samples of a tone; which of three pitches?
rng = np.random.default_rng(47)
y = rng.integers(0, 3, 1200)
t = np.arange(20)
pitch = np.array([0.35, 0.7, 1.2])[y]
x = np.sin(pitch[:, None] * t + rng.uniform(0, 6.28, (1200, 1))) * 1.3 + 0.3 * rng.normal(size=(1200, 20))
x = x[:, :, None]
n_train = 900
x = torch.tensor(x, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.long)
X_train, y_train, X_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = X_train.mean(), X_train.std()
X_train, X_test = (X_train - mean) / std, (X_test - mean) / std
torch.manual_seed(SEED)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru1 = nn.GRU(1, 32, batch_first=True)
        self.fc1 = nn.Linear(32, 3)

    def forward(self, x):
        h = self.gru1(x)
        h = h[0][:, -1]
        h = self.fc1(h)
        return h


net = Net()
loss_fn = nn.CrossEntropyLoss()
opt = torch.optim.AdamW(net.parameters(), lr=0.002, weight_decay=100)


def evaluate():
    net.eval()
    with torch.no_grad():
        output = net(X_test)
    return (output.argmax(1) == y_test).float().mean().item()


loader = DataLoader(TensorDataset(X_train, y_train), batch_size=8, shuffle=True)


def train(epoch):
    net.train()
    total = 0.0
    for xb, yb in loader:
        opt.zero_grad()
        output = net(xb)
        loss = loss_fn(output, yb)
        loss.backward()
        opt.step()
        total += loss.item()
    return total / len(loader)


for epoch in range(5):
    loss_value = train(epoch)
    if (epoch + 1) % 1 == 0:
        print(f"[{epoch + 1}] loss {loss_value:.5f}")
print(f"RESULT accuracy {evaluate():.4f}")
