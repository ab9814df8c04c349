"""A GAN on a ring: two optimizers, and a discriminator loss that hovers near 2 ln 2, as it should."""

import math
import os

import torch
import torch.nn as nn

torch.manual_seed(int(os.environ.get("SEED", 0)))


def real(n):
    angle = 2 * math.pi * torch.rand(n)
    radius = 1 + 0.05 * torch.randn(n)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)


def mlp(n_in, n_out):
    return nn.Sequential(
        nn.Linear(n_in, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, n_out)
    )


G, D = mlp(4, 2), mlp(2, 1)
opt_g = torch.optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.9))
opt_d = torch.optim.Adam(D.parameters(), lr=1e-3, betas=(0.5, 0.9))
bce = nn.BCEWithLogitsLoss()
ones, zeros = torch.ones(128, 1), torch.zeros(128, 1)

for step in range(1000):
    fake = G(torch.randn(128, 4))
    loss_d = bce(D(real(128)), ones) + bce(D(fake.detach()), zeros)
    opt_d.zero_grad()
    loss_d.backward()
    opt_d.step()

    loss_g = bce(D(fake), ones)
    opt_g.zero_grad()
    loss_g.backward()
    opt_g.step()
    if step % 200 == 0:
        print(f"[{step}] D {loss_d.item():.3f} G {loss_g.item():.3f}")

with torch.no_grad():
    radius = G(torch.randn(2000, 4)).norm(dim=1)
print(f"RESULT on_ring {((radius - 1).abs() < 0.25).float().mean():.4f}")
