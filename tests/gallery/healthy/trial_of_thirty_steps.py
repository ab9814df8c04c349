"""A trial of 30 steps before the real run: too few to say anything of learning, labels or rates."""

import os

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(int(os.environ.get("SEED", 0)))
x = torch.randn(4000, 32)
y = (torch.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2] > 0).long()
net = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for step in range(30):
    rows = torch.randint(0, 4000, (64,))
    loss = F.cross_entropy(net(x[rows]), y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"RESULT loss {loss.item():.4f}")
