"""Ordinal regression: one score against four learned, ordered thresholds (cumulative logits) for five levels."""

import os

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(int(os.environ.get("SEED", 0)))
LEVELS = 5
x = torch.randn(2500, 6)
hidden_score = x[:, 0] * x[:, 1] + x[:, 2].abs() + 0.5 * x[:, 3] + 0.15 * torch.randn(2500)
cuts = torch.quantile(hidden_score, torch.tensor([0.2, 0.4, 0.6, 0.8]))
level = torch.bucketize(hidden_score, cuts)


class CumulativeLink(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
        self.first = nn.Parameter(torch.tensor([-1.0]))
        self.gaps = nn.Parameter(torch.zeros(LEVELS - 2))

    def forward(self, x):
        thresholds = torch.cat([self.first, self.first + F.softplus(self.gaps).cumsum(0)])
        return self.score(x) - thresholds  # logit of "above threshold k"


model = CumulativeLink()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
above = (level[:, None] > torch.arange(LEVELS - 1)).float()
for epoch in range(25):
    for b in torch.randperm(2000).split(50):
        loss = F.binary_cross_entropy_with_logits(model(x[b]), above[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if epoch % 5 == 0:
        print(f"epoch {epoch:2d} loss {loss.item():.4f}")
with torch.no_grad():
    predicted = (model(x[2000:]) > 0).sum(1)
print(f"exact {(predicted == level[2000:]).float().mean():.3f}")
print(f"RESULT within_one {((predicted - level[2000:]).abs() <= 1).float().mean():.4f}")
