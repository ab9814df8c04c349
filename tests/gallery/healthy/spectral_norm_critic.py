"""Spectral normalisation in every layer: a 1-Lipschitz critic scores real against shifted samples with a hinge loss."""

import os

import torch
import torch.nn as nn
from torch.nn.utils.parametrizations import spectral_norm


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            spectral_norm(nn.Linear(4, 64)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Linear(64, 64)),
            nn.LeakyReLU(0.2),
            nn.Linear(64, 1),
        )

    def forward(self, x):
        return self.layers(x).squeeze(-1)


def real(n):
    z = torch.randn(n, 2)
    return torch.cat([z, z.pow(2) - 1 + 0.2 * torch.randn(n, 2)], dim=1)


def fake(n):
    return torch.cat([torch.randn(n, 2), torch.randn(n, 2)], dim=1)


torch.manual_seed(int(os.environ.get("SEED", 0)))
critic = Critic()
optimizer = torch.optim.Adam(critic.parameters(), lr=3e-3)
for step in range(600):
    score_real, score_fake = critic(real(64)), critic(fake(64))
    loss = torch.relu(1 - score_real).mean() + torch.relu(1 + score_fake).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 100 == 0:
        print(f"step {step}: hinge {loss.item():.3f}")
critic.eval()
with torch.no_grad():
    accuracy = ((critic(real(1000)) > 0).float().mean() + (critic(fake(1000)) < 0).float().mean()) / 2
print(f"RESULT accuracy {accuracy.item():.4f}")
