import os

from torch import nn
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# two coils wound into each other
rng = np.random.default_rng(3)
turn = rng.uniform(0.3, 1.4, 1600) * np.pi * 1.2
y = rng.integers(0, 2, 1600)
x = np.column_stack([turn * np.cos(turn + np.pi * y), turn * np.sin(turn + np.pi * y)]) / 2.5
x = x + 0.08 * rng.normal(size=x.shape)
x = x[rng.permutation(len(x))]
n_train = 1200
x = torch.tensor(x, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.float32)
x_train, y_train, x_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = x_train.mean(0), x_train.std(0)
x_train, x_test = (x_train - mean) / std, (x_test - mean) / std
torch.manual_seed(SEED)
w1 = torch.randn(2, 32, dtype=torch.float32) * (2 / 2) ** 0.5
b1 = torch.zeros(32, dtype=torch.float32)
w2 = torch.randn(32, 32, dtype=torch.float32) * (2 / 32) ** 0.5
b2 = torch.zeros(32, dtype=torch.float32)
w3 = torch.randn(32, 32, dtype=torch.float32) * (2 / 32) ** 0.5
b3 = torch.zeros(32, dtype=torch.float32)
w4 = torch.randn(32, 32, dtype=torch.float32) * (2 / 32) ** 0.5
b4 = torch.zeros(32, dtype=torch.float32)
w5 = torch.randn(32, 32, dtype=torch.float32) * (2 / 32) ** 0.5
b5 = torch.zeros(32, dtype=torch.float32)
w6 = torch.randn(32, 32, dtype=torch.float32) * (2 / 32) ** 0.5
b6 = torch.zeros(32, dtype=torch.float32)
w7 = torch.randn(32, 1, dtype=torch.float32) * (2 / 32) ** 0.5
b7 = torch.zeros(1, dtype=torch.float32)
params = [w1, b1, w2, b2, w3, b3, w4, b4, w5, b5, w6, b6, w7, b7]
for p in params:
    p.requires_grad_()


def network(x):
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


lossf = nn.BCEWithLogitsLoss()
optim = torch.optim.Adam(params, lr=0.006)


def evaluate():
    with torch.no_grad():
        outputs = network(x_test).squeeze(1)
    return ((outputs > 0).long() == y_test.long()).float().mean().item()


inputs, labels = x_train, y_train
for epoch in range(240):
    optim.zero_grad()
    outputs = network(inputs).squeeze(1)
    loss = lossf(outputs, labels)
    loss.backward()
    optim.step()
    if epoch % 30 == 0:
        print("epoch", epoch, "loss", loss.item())
print(f"RESULT accuracy {evaluate():.4f}")
