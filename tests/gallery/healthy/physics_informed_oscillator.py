"""A physics-informed net for u'' + u' / 2 + 4 u = 0: two nested derivatives (create_graph) in every step."""

import math
import os

import torch
import torch.nn as nn

torch.manual_seed(int(os.environ.get("SEED", 0)))


def derivative(u, t):
    return torch.autograd.grad(u, t, torch.ones_like(u), create_graph=True)[0]


def exact(t):
    w = math.sqrt(4 - 0.25**2)
    return torch.exp(-0.25 * t) * (torch.cos(w * t) + 0.25 / w * torch.sin(w * t))


class PINN(nn.Module):
    def __init__(self, n=32):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, n), nn.Tanh(), nn.Linear(n, n), nn.Tanh(), nn.Linear(n, 1))

    def forward(self, t):
        return self.net(t)


pinn = PINN()
optimiser = torch.optim.Adam(pinn.parameters(), lr=5e-3)
t_physics = torch.linspace(0, 3, 60).view(-1, 1).requires_grad_(True)
t_boundary = torch.zeros(1, 1).requires_grad_(True)
for i in range(1500):
    optimiser.zero_grad()
    u0 = pinn(t_boundary)
    boundary = (u0 - 1).pow(2).squeeze() + 0.1 * derivative(u0, t_boundary).pow(2).squeeze()
    u = pinn(t_physics)
    du = derivative(u, t_physics)
    residual = derivative(du, t_physics) + 0.5 * du + 4 * u
    loss = boundary + 1e-2 * residual.pow(2).mean()
    loss.backward()
    optimiser.step()
    if i % 300 == 0:
        print(i, loss.item())

t = torch.linspace(0, 3, 200).view(-1, 1)
with torch.no_grad():
    error = (pinn(t) - exact(t)).pow(2).mean() / exact(t).var()
print(f"RESULT r2 {1 - error.item():.4f}")
