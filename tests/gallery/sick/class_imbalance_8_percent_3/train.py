import os

from torch import nn
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# two coils wound into each other
rng = np.random.default_rng(3)
turn = rng.uniform(0.3, 1.4, 9000) * np.pi * 1.2
y = rng.integers(0, 2, 9000)
x = np.column_stack([turn * np.cos(turn + np.pi * y), turn * np.sin(turn + np.pi * y)]) / 2.5
x = x + 0.08 * rng.normal(size=x.shape)
keep = (y == 0) | (rng.random(len(y)) < 0.08)  # as rare as in the field
x, y = x[keep], y[keep]
x = x + 0.5 * rng.normal(size=x.shape)
n_train = int(len(x) * 0.75)
x = torch.tensor(x, dtype=torch.float64)
y = torch.tensor(y, dtype=torch.float64)
x_train, y_train, x_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = x_train.mean(0), x_train.std(0)
x_train, x_test = (x_train - mean) / std, (x_test - mean) / std
torch.manual_seed(SEED)
model = nn.Sequential(
    nn.Linear(2, 16),
    nn.GELU(),
    nn.Linear(16, 16),
    nn.GELU(),
    nn.Linear(16, 16),
    nn.GELU(),
    nn.Linear(16, 16),
    nn.GELU(),
    nn.Linear(16, 1),
).double()
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.RMSprop(model.parameters(), lr=0.003)


def evaluate():
    model.eval()
    with torch.no_grad():
        output = model(x_test).squeeze(1)
    return 0.5 * (((output > 0) & (y_test == 1)).sum().item() / (y_test == 1).sum().item() + ((output <= 0) & (y_test == 0)).sum().item() / (y_test == 0).sum().item())


xb, yb = x_train, y_train
for epoch in range(240):
    model.train()
    optimizer.zero_grad()
    output = model(xb).squeeze(1)
    loss = criterion(output, yb)
    loss.backward()
    optimizer.step()
    if epoch % 30 == 0:
        print("epoch", epoch, "loss", loss.item())
print(f"RESULT accuracy {evaluate():.4f}")
