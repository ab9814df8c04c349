import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# two coils wound into each other
rng = np.random.default_rng(3)
turn = rng.uniform(0.3, 1.4, 1600) * np.pi * 1.2
y = rng.integers(0, 2, 1600)
x = np.column_stack([turn * np.cos(turn + np.pi * y), turn * np.sin(turn + np.pi * y)]) / 2.5
x = x + 0.08 * rng.normal(size=x.shape)
n_train = 1200
x = torch.tensor(x, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.float32)
train_x, train_y, test_x, test_y = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = train_x.mean(0), train_x.std(0)
train_x, test_x = (train_x - mean) / std, (test_x - mean) / std
torch.manual_seed(SEED)
w1 = torch.randn(2, 32, dtype=torch.float32) * (2 / 2) ** 0.5
b1 = torch.zeros(32, dtype=torch.float32)
w2 = torch.randn(32, 32, dtype=torch.float32) * (2 / 32) ** 0.5
b2 = torch.zeros(32, dtype=torch.float32)
w3 = torch.randn(32, 32, dtype=torch.float32) * (2 / 32) ** 0.5
b3 = torch.zeros(32, dtype=torch.float32)
w4 = torch.randn(32, 1, dtype=torch.float32) * (2 / 32) ** 0.5
b4 = torch.zeros(1, dtype=torch.float32)
params = [w1, b1, w2, b2, w3, b3, w4, b4]
for p in params:
    p.requires_grad_()


def clf(x):
    x = x @ w1 + b1
    x = torch.relu(x)
    x = x @ w2 + b2
    x = torch.relu(x)
    x = x @ w3 + b3
    x = torch.relu(x)
    x = x @ w4 + b4
    return x


criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.SGD(params, lr=0.06, momentum=0.9)


def evaluate():
    with torch.no_grad():
        output = clf(test_x).squeeze(1)
    return ((output > 0).long() == test_y.long()).float().mean().item()


loader = DataLoader(TensorDataset(train_x, train_y), batch_size=64, shuffle=True)


def train(epoch):
    running = 0.0
    for xb, yb in loader:
        output = clf(xb).squeeze(1)
        loss = criterion(output, yb)
        loss.backward()
        optimizer.step()
        running += loss.item()
    return running / len(loader)


for epoch in range(24):
    loss_value = train(epoch)
    if (epoch + 1) % 3 == 0:
        print(f"[{epoch + 1}] loss {loss_value:.5f}")
print(f"RESULT accuracy {evaluate():.4f}")
