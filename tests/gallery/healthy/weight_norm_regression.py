"""Weight normalisation (torch.nn.utils.parametrizations.weight_norm) on every layer of a small regression net."""

import os

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

torch.manual_seed(int(os.environ.get("SEED", 0)))
x = torch.rand(1400, 5) * 2 - 1
y = (2 * x[:, :1] * x[:, 1:2] + torch.cos(3 * x[:, 2:3]) - x[:, 3:4]) * 1.2
y = y - y.mean()
net = nn.Sequential(
    weight_norm(nn.Linear(5, 64)), nn.ReLU(), weight_norm(nn.Linear(64, 64)), nn.ReLU(), weight_norm(nn.Linear(64, 1))
)
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
for epoch in range(15):
    for i in torch.randperm(1100).split(44):
        opt.zero_grad()
        loss = ((net(x[i]) - y[i]) ** 2).mean()
        loss.backward()
        opt.step()
    print(epoch, f"{loss.item():.5f}")
with torch.no_grad():
    r2 = 1 - ((net(x[1100:]) - y[1100:]) ** 2).mean() / y[1100:].var()
print(f"RESULT r2 {r2:.4f}")
