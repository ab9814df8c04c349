import os

from torch import nn
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# six readings of a probe, three alloys
rng = np.random.default_rng(5)
x = rng.normal(size=(1600, 6))
rule = np.column_stack([x[:, 0] + x[:, 1] ** 2 - 1, x[:, 2] * x[:, 3], 1.2 - np.abs(x[:, 4]) - 0.5 * x[:, 5]])
y = (rule + 0.05 * rng.normal(size=rule.shape)).argmax(1)
x = x * np.logspace(0, 4, x.shape[1])
n_train = 1200
x = torch.tensor(x, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.long)
x_train, y_train, x_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
torch.manual_seed(SEED)
w1 = torch.randn(6, 32, dtype=torch.float32) * (2 / 6) ** 0.5
b1 = torch.zeros(32, dtype=torch.float32)
w2 = torch.randn(32, 32, dtype=torch.float32) * (2 / 32) ** 0.5
b2 = torch.zeros(32, dtype=torch.float32)
w3 = torch.randn(32, 3, dtype=torch.float32) * (2 / 32) ** 0.5
b3 = torch.zeros(3, dtype=torch.float32)
params = [w1, b1, w2, b2, w3, b3]
for p in params:
    p.requires_grad_()


def model(x):
    x = x @ w1 + b1
    x = nn.functional.gelu(x)
    x = x @ w2 + b2
    x = nn.functional.gelu(x)
    x = x @ w3 + b3
    return x


loss_function = nn.CrossEntropyLoss()
optimiser = torch.optim.SGD(params, lr=1e-06, momentum=0.9)


def evaluate():
    with torch.no_grad():
        pred = model(x_test)
    return (pred.argmax(1) == y_test).float().mean().item()


data, target = x_train, y_train
for epoch in range(240):
    optimiser.zero_grad()
    pred = model(data)
    loss = loss_function(pred, target)
    loss.backward()
    optimiser.step()
    if epoch % 30 == 0:
        print("epoch", epoch, "loss", loss.item())
print(f"RESULT accuracy {evaluate():.4f}")
