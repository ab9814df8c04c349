"""Categories as one-hot columns (58 of 64 inputs are zero in every row), beside two numbers."""

import os

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
rng = np.random.default_rng(14)
n = 4000
frame = pd.DataFrame(
    {
        "city": rng.integers(0, 30, n),
        "trade": rng.integers(0, 20, n),
        "month": rng.integers(0, 12, n),
        "age": rng.normal(size=n),
        "visits": rng.normal(size=n),
    }
)
city, trade = rng.normal(size=30), rng.normal(size=20)
wage = city[frame.city] + trade[frame.trade] * (1 + 0.5 * frame.age) + 0.2 * rng.normal(size=n)
dummies = pd.get_dummies(frame, columns=["city", "trade", "month"], dtype="float32")
x = torch.tensor(dummies.to_numpy(dtype="float32"))
y = torch.tensor(((wage - wage.mean()) / wage.std()).to_numpy(dtype="float32"))

model = nn.Sequential(nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 1), nn.Flatten(0))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
loader = DataLoader(TensorDataset(x[:3200], y[:3200]), batch_size=64, shuffle=True)
for epoch in range(15):
    total = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(xb), yb)
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch} mse {total / len(loader):.4f}")
with torch.no_grad():
    print(f"RESULT r2 {1 - ((model(x[3200:]) - y[3200:]) ** 2).mean() / y[3200:].var():.4f}")
