"""A WeightedRandomSampler draws the rare classes more often: the batches are balanced, the data set is not."""

import os

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

torch.manual_seed(int(os.environ.get("SEED", 0)))
rng = np.random.default_rng(3)
centres = rng.normal(0, 1.6, (3, 8))


def make(n, shares):
    label = rng.choice(3, n, p=shares)
    return torch.tensor(centres[label] + rng.normal(0, 1, (n, 8))).float(), torch.tensor(label)


x, label = make(3000, [0.9, 0.07, 0.03])
x_test, label_test = make(900, [1 / 3, 1 / 3, 1 / 3])
weight = 1.0 / torch.bincount(label).float()[label]
sampler = WeightedRandomSampler(weight, num_samples=len(label), replacement=True)
loader = DataLoader(TensorDataset(x, label), batch_size=64, sampler=sampler)

model = nn.Sequential(nn.Linear(8, 32), nn.ELU(), nn.Linear(32, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(8):
    model.train()
    for xb, yb in loader:
        loss = nn.functional.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        hit = (model(x_test).argmax(1) == label_test).float().mean().item()
    print(f"epoch {epoch} loss {loss.item():.3f} test {hit:.3f}")
print(f"RESULT accuracy {hit:.4f}")
