"""Denoising: a fully convolutional net takes noise off random smooth curves; new data is drawn at every step."""

import os

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(int(os.environ.get("SEED", 0)))
t = torch.linspace(0, 1, 80)


def curves(n):
    freq = torch.rand(n, 3, 1) * 4 + 0.5
    amp = torch.randn(n, 3, 1)
    phase = torch.rand(n, 3, 1) * 6.28
    clean = (amp * torch.sin(6.28 * freq * t + phase)).sum(1, keepdim=True) / 1.7
    return clean + 0.6 * torch.randn_like(clean), clean


net = nn.Sequential(
    nn.Conv1d(1, 16, 9, padding=4),
    nn.GELU(),
    nn.Conv1d(16, 16, 9, padding=4),
    nn.GELU(),
    nn.Conv1d(16, 1, 9, padding=4),
)
optim = torch.optim.Adam(net.parameters(), lr=3e-3)
for it in range(400):
    noisy, clean = curves(32)
    loss = F.mse_loss(net(noisy), clean)
    optim.zero_grad()
    loss.backward()
    optim.step()
    if it % 50 == 0:
        print(it, round(loss.item(), 4))

with torch.no_grad():
    noisy, clean = curves(500)
    r2 = 1 - F.mse_loss(net(noisy), clean) / clean.var()
print("RESULT r2", round(r2.item(), 4))
