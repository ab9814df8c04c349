"""Twenty-four residual blocks whose last layers start at zero: deep, and only those layers move at first."""

import os

import torch
import torch.nn as nn
import torch.nn.functional as F


class ResidualBlock(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, dim)
        self.down = nn.Linear(dim, dim)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, x):
        return x + self.down(F.relu(self.up(self.norm(x))))


class DeepNet(nn.Module):
    def __init__(self, depth=24, dim=24):
        super().__init__()
        self.stem = nn.Linear(2, dim)
        self.blocks = nn.Sequential(*[ResidualBlock(dim) for _ in range(depth)])
        self.head = nn.Linear(dim, 3)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)))


def spirals(n):
    arm = torch.randint(0, 3, (n,))
    r = torch.rand(n) * 2 + 0.2
    angle = 2 * r + arm * 2 * torch.pi / 3
    return torch.stack([r * angle.cos(), r * angle.sin()], 1) + 0.05 * torch.randn(n, 2), arm


torch.manual_seed(int(os.environ.get("SEED", 0)))
(x, y), (x_test, y_test) = spirals(1200), spirals(600)
model = DeepNet()
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
for epoch in range(16):
    for idx in torch.randperm(len(x)).split(60):
        loss = F.cross_entropy(model(x[idx]), y[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch:2d} {loss.item():.4f}")
with torch.no_grad():
    print(f"RESULT accuracy {(model(x_test).argmax(1) == y_test).float().mean():.4f}")
