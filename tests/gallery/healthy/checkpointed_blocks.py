"""Activation checkpointing: every residual block is run again during backward."""

import os

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

torch.manual_seed(int(os.environ.get("SEED", 0)))


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x):
        return x + self.net(x)


class Net(nn.Module):
    def __init__(self, dim=32, depth=3):
        super().__init__()
        self.stem = nn.Linear(4, dim)
        self.blocks = nn.ModuleList(Block(dim) for _ in range(depth))
        self.head = nn.Linear(dim, 1)

    def forward(self, x):
        h = self.stem(x)
        for block in self.blocks:
            h = checkpoint(block, h, use_reentrant=False)
        return self.head(h).squeeze(-1)


x = torch.rand(1500, 4) * 2 - 1
y = torch.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2] - x[:, 3].abs()
y = (y - y.mean()) / y.std()
model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
for epoch in range(12):
    for idx in torch.randperm(1200).split(40):
        loss = nn.functional.mse_loss(model(x[idx]), y[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch} mse {loss.item():.4f}")
with torch.no_grad():
    r2 = 1 - (model(x[1200:]) - y[1200:]).square().mean() / y[1200:].var()
print(f"RESULT r2 {r2.item():.4f}")
