"""A Wasserstein GAN with clipped weights: the critic's loss has no zero and takes both signs."""

import os

import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
G = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1))
D = nn.Sequential(nn.Linear(1, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
opt_g, opt_d = torch.optim.RMSprop(G.parameters(), 5e-4), torch.optim.RMSprop(D.parameters(), 5e-4)


def real(n):
    return 3 + 0.5 * torch.randn(n, 1)


for it in range(400):
    for _ in range(3):
        loss_d = D(G(torch.randn(64, 2)).detach()).mean() - D(real(64)).mean()
        opt_d.zero_grad()
        loss_d.backward()
        opt_d.step()
        for p in D.parameters():
            p.data.clamp_(-0.1, 0.1)
    loss_g = -D(G(torch.randn(64, 2))).mean()
    opt_g.zero_grad()
    loss_g.backward()
    opt_g.step()
    if it % 80 == 0:
        print(f"step {it} critic {loss_d.item():.4f} generator {loss_g.item():.4f}")
with torch.no_grad():
    fake = G(torch.randn(2000, 2))
print(f"RESULT closeness {1 - ((fake.mean() - 3).abs() / 3).item():.4f}")
