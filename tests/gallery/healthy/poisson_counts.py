"""Counts per hour with PoissonNLLLoss (log rates): the loss is negative when all is well."""

import os

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
rng = np.random.default_rng(12)
hour = rng.uniform(0, 24, 3000)
rain = rng.random(3000) < 0.3
rate = np.exp(1.2 + np.sin(2 * np.pi * (hour - 8) / 24) + 0.6 * np.cos(4 * np.pi * hour / 24) - 0.9 * rain)
counts = rng.poisson(rate)
x = np.column_stack([np.sin(2 * np.pi * hour / 24), np.cos(2 * np.pi * hour / 24), rain])
x, counts = torch.tensor(x, dtype=torch.float32), torch.tensor(counts, dtype=torch.float32)
train = DataLoader(TensorDataset(x[:2400], counts[:2400]), batch_size=48, shuffle=True)

model = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0))
loss_fn = nn.PoissonNLLLoss(log_input=True)
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(15):
    total = 0.0
    for xb, cb in train:
        loss = loss_fn(model(xb), cb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch:2d}  nll {total / len(train):+.3f}")

with torch.no_grad():
    predicted = model(x[2400:]).exp().numpy()
truth = rate[2400:]
print("RESULT r2 %.4f" % (1 - ((predicted - truth) ** 2).mean() / truth.var()))
