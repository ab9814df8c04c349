"""Raw columns (hectopascal, kelvin, per mille, lux) go through a BatchNorm1d first: nothing to scale by hand."""

import os

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
rng = np.random.default_rng(6)
n = 2400
pressure, kelvin = rng.normal(1013, 8, n), rng.normal(288, 9, n)
humidity, light = rng.uniform(200, 950, n), rng.gamma(2, 9000, n)
comfort = (
    np.sin((kelvin - 288) / 6) - ((humidity - 550) / 250) ** 2 + 0.3 * (pressure - 1013) / 8 + np.log1p(light / 20000)
)
x = torch.tensor(np.column_stack([pressure, kelvin, humidity, light]), dtype=torch.float32)
y = torch.tensor((comfort - comfort.mean()) / comfort.std(), dtype=torch.float32).unsqueeze(1)

model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
loader = DataLoader(TensorDataset(x[:2000], y[:2000]), batch_size=50, shuffle=True)
for epoch in range(12):
    model.train()
    for xb, yb in loader:
        loss = nn.functional.mse_loss(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"{epoch}: {loss.item():.4f}")
model.eval()
with torch.no_grad():
    r2 = 1 - nn.functional.mse_loss(model(x[2000:]), y[2000:]) / y[2000:].var()
print(f"RESULT r2 {r2.item():.4f}")
