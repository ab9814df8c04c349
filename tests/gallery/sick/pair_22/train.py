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
x = 1013 + x
n_train = 1200
x = torch.tensor(x, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.float32)
x_train, y_train, x_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
torch.manual_seed(SEED)
model = nn.Sequential(
    nn.Linear(2, 32),
    nn.GELU(),
    nn.Linear(32, 32),
    nn.GELU(),
    nn.Linear(32, 32),
    nn.GELU(),
    nn.Linear(32, 32),
    nn.GELU(),
    nn.Linear(32, 1),
)
loss_function = nn.BCEWithLogitsLoss()
optimiser = torch.optim.AdamW(model.parameters(), lr=0.004)


def evaluate():
    model.eval()
    with torch.no_grad():
        pred = model(x_test).squeeze(1)
    return (pred.round().long() == y_test.long()).float().mean().item()


loader = DataLoader(TensorDataset(x_train, y_train), batch_size=512, shuffle=True)
for epoch in range(90):
    model.train()
    total = 0.0
    for data, target in loader:
        optimiser.zero_grad()
        pred = model(data).squeeze(1)
        loss = loss_function(pred, target)
        loss.backward()
        optimiser.step()
        total += loss.item()
    if epoch % 11 == 0:
        print("Epoch %d loss %.4f" % (epoch, total / len(loader)))
print(f"RESULT accuracy {evaluate():.4f}")
