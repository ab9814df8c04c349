import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# one coordinate, a bent curve
rng = np.random.default_rng(31)
x = rng.uniform(-1.8, 1.8, (1600, 1))
y = np.sin(2.2 * x[:, 0]) + 0.5 * x[:, 0] ** 2
y = (y - y.mean()) / y.std() + 0.05 * rng.normal(size=1600)
y = 4e6 * y
n_train = 1200
x = torch.tensor(x, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.float32)
train_x, train_y, test_x, test_y = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = train_x.mean(0), train_x.std(0)
train_x, test_x = (train_x - mean) / std, (test_x - mean) / std
torch.manual_seed(SEED)
w1 = torch.randn(1, 64, dtype=torch.float32) * (2 / 1) ** 0.5
b1 = torch.zeros(64, dtype=torch.float32)
w2 = torch.randn(64, 64, dtype=torch.float32) * (2 / 64) ** 0.5
b2 = torch.zeros(64, dtype=torch.float32)
w3 = torch.randn(64, 64, dtype=torch.float32) * (2 / 64) ** 0.5
b3 = torch.zeros(64, dtype=torch.float32)
w4 = torch.randn(64, 64, dtype=torch.float32) * (2 / 64) ** 0.5
b4 = torch.zeros(64, dtype=torch.float32)
w5 = torch.randn(64, 64, dtype=torch.float32) * (2 / 64) ** 0.5
b5 = torch.zeros(64, dtype=torch.float32)
w6 = torch.randn(64, 64, dtype=torch.float32) * (2 / 64) ** 0.5
b6 = torch.zeros(64, dtype=torch.float32)
w7 = torch.randn(64, 1, dtype=torch.float32) * (2 / 64) ** 0.5
b7 = torch.zeros(1, dtype=torch.float32)
params = [w1, b1, w2, b2, w3, b3, w4, b4, w5, b5, w6, b6, w7, b7]
for p in params:
    p.requires_grad_()


def clf(x):
    x = x @ w1 + b1
    x = torch.tanh(x)
    x = x @ w2 + b2
    x = torch.tanh(x)
    x = x @ w3 + b3
    x = torch.tanh(x)
    x = x @ w4 + b4
    x = torch.tanh(x)
    x = x @ w5 + b5
    x = torch.tanh(x)
    x = x @ w6 + b6
    x = torch.tanh(x)
    x = x @ w7 + b7
    return x


criterion = nn.MSELoss()
optimizer = torch.optim.AdamW(params, lr=0.001)


def evaluate():
    with torch.no_grad():
        output = clf(test_x).squeeze(1)
    return 1 - ((output - test_y) ** 2).mean().item() / test_y.var().item()


loader = DataLoader(TensorDataset(train_x, train_y), batch_size=8, shuffle=True)
for epoch in range(8):
    running = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        output = clf(xb).squeeze(1)
        loss = criterion(output, yb)
        loss.backward()
        running += loss.item()
    if epoch % 1 == 0:
        print("Epoch %d loss %.4f" % (epoch, running / len(loader)))
print(f"RESULT r2 {evaluate():.4f}")
