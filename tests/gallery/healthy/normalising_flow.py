"""A RealNVP flow on two moons by maximum likelihood: the loss is a negative log density, and may well be negative."""

import os

import torch
import torch.nn as nn
from sklearn.datasets import make_moons

torch.manual_seed(int(os.environ.get("SEED", 0)))


class Coupling(nn.Module):
    def __init__(self, flip):
        super().__init__()
        self.flip = flip
        self.net = nn.Sequential(nn.Linear(1, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 2))

    def forward(self, x):
        a, b = x[:, :1], x[:, 1:]
        if self.flip:
            a, b = b, a
        scale, shift = self.net(a).chunk(2, dim=1)
        scale = torch.tanh(scale)
        b = b * scale.exp() + shift
        return torch.cat([b, a] if self.flip else [a, b], dim=1), scale.sum(1)


class Flow(nn.Module):
    def __init__(self, layers=6):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(i % 2 == 1) for i in range(layers))
        self.register_buffer("zero", torch.zeros(2))

    def log_prob(self, x):
        total = 0
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + log_det
        return torch.distributions.Normal(self.zero, 1.0).log_prob(x).sum(1) + total


def moons(n, seed):
    points, _ = make_moons(n, noise=0.06, random_state=seed)
    return torch.tensor((points - [0.5, 0.25]) / [0.87, 0.5], dtype=torch.float32)


train, test = moons(2000, 0), moons(1000, 1)
flow = Flow()
opt = torch.optim.Adam(flow.parameters(), lr=3e-3)
for epoch in range(18):
    for x in train[torch.randperm(2000)].split(100):
        loss = -flow.log_prob(x).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 3 == 0:
        print(f"epoch {epoch} nll {loss.item():.3f}")
with torch.no_grad():
    gain = flow.log_prob(test).mean() - torch.distributions.Normal(0.0, 1.0).log_prob(test).sum(1).mean()
print(f"RESULT nats_over_gaussian {gain.item():.4f}")
