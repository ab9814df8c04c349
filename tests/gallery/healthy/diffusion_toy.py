"""A toy diffusion model: predict the added noise at a random time; the loss has a floor that nothing can undercut."""

import math
import os

import torch
import torch.nn as nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
STEPS = 50
betas = torch.linspace(1e-3, 0.15, STEPS)
alpha_bar = torch.cumprod(1 - betas, 0)


def four_corners(n):
    corner = torch.randint(0, 2, (n, 2)).float() * 2 - 1
    return corner + 0.1 * torch.randn(n, 2)


class NoisePredictor(nn.Module):
    def __init__(self, d=64):
        super().__init__()
        self.time = nn.Embedding(STEPS, 16)
        self.net = nn.Sequential(nn.Linear(18, d), nn.SiLU(), nn.Linear(d, d), nn.SiLU(), nn.Linear(d, 2))

    def forward(self, x, t):
        return self.net(torch.cat([x, self.time(t)], dim=1))


@torch.no_grad()
def generate(model, n):
    x = torch.randn(n, 2)
    for t in reversed(range(STEPS)):
        eps = model(x, torch.full((n,), t))
        x = (x - betas[t] / math.sqrt(1 - alpha_bar[t]) * eps) / math.sqrt(1 - betas[t])
        if t:
            x = x + betas[t].sqrt() * torch.randn_like(x)
    return x


model = NoisePredictor()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(1200):
    x0 = four_corners(128)
    t = torch.randint(0, STEPS, (128,))
    noise = torch.randn_like(x0)
    a = alpha_bar[t].unsqueeze(1)
    loss = nn.functional.mse_loss(model(a.sqrt() * x0 + (1 - a).sqrt() * noise, t), noise)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 200 == 0:
        print(f"step {step} loss {loss.item():.4f}")
samples = generate(model, 1000)
near = ((samples.abs() - 1).norm(dim=1) < 0.4).float().mean()
print(f"RESULT near_corner {near.item():.4f}")
