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
n_train = 1200
x = torch.tensor(x, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.float32)
X_train, y_train, X_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = X_train.mean(0), X_train.std(0)
X_train, X_test = (X_train - mean) / std, (X_test - mean) / std
torch.manual_seed(SEED)
w1 = torch.randn(2, 16, dtype=torch.float32) * (2 / 2) ** 0.5
b1 = torch.zeros(16, dtype=torch.float32)
w2 = torch.randn(16, 1, dtype=torch.float32) * (2 / 16) ** 0.5
b2 = torch.zeros(1, dtype=torch.float32)
params = [w1, b1, w2, b2]
for p in params:
    p.requires_grad_()


def net(x):
    x = x @ w1 + b1
    x = torch.tanh(x)
    x = x @ w2 + b2
    x = torch.sigmoid(x)
    return x


loss_fn = nn.BCELoss()
opt = torch.optim.RMSprop(params, lr=0.004)


def evaluate():
    with torch.no_grad():
        output = net(X_test).squeeze(1)
    return ((output > 0.5).long() == y_test.long()).float().mean().item()


for epoch in range(90):
    total = 0.0
    for idx in torch.randperm(n_train).split(512):
        xb, yb = X_train[idx], y_train[idx]
        opt.zero_grad()
        output = net(xb).squeeze(1)
        loss = loss_fn(output, yb)
        loss.backward()
        opt.step()
        total += loss.item() * len(idx)
    if epoch % 11 == 0:
        print(f"epoch {epoch} loss {total / n_train:.4f}")
print(f"RESULT accuracy {evaluate():.4f}")
