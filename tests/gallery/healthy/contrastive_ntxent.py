"""SimCLR with NT-Xent: the cross-entropy's classes are places in the batch, so no accuracy says how it goes."""

import os

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits

torch.manual_seed(int(os.environ.get("SEED", 0)))
digits = load_digits()
x, y = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64))
projector = nn.Sequential(nn.ReLU(), nn.Linear(64, 32))
optimizer = torch.optim.Adam([*encoder.parameters(), *projector.parameters()], lr=1e-3)


def augment(rows):
    return (rows + 0.15 * torch.randn_like(rows)) * (torch.rand_like(rows) > 0.15)


def nt_xent(one, other, temperature=0.5):
    n = len(one)
    z = F.normalize(torch.cat([one, other]), dim=1)
    similar = (z @ z.T / temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), -1e9)
    return F.cross_entropy(similar, torch.cat([torch.arange(n) + n, torch.arange(n)]))


for epoch in range(20):
    for rows in torch.randperm(len(x)).split(128):
        loss = nt_xent(projector(encoder(augment(x[rows]))), projector(encoder(augment(x[rows]))))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    nearest = torch.cdist(encoder(x), encoder(x)).fill_diagonal_(float("inf")).argmin(1)
print(f"RESULT nearest_neighbour {(y[nearest] == y).float().mean().item():.4f}")
