"""A square weight kept orthogonal by torch.nn.utils.parametrizations: an unmixing layer learns a rotation."""

import os

import torch
from torch import nn
from torch.nn.utils.parametrizations import orthogonal

torch.manual_seed(int(os.environ.get("SEED", 0)))
D = 6
rotation = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(4)))[0]
x = torch.randn(1000, D)
y = torch.tanh(x @ rotation) + 0.05 * torch.randn(1000, D)

unmix = orthogonal(nn.Linear(D, D, bias=False))
model = nn.Sequential(unmix, nn.Tanh(), nn.Linear(D, D))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(20):
    for idx in torch.randperm(800).split(40):
        loss = nn.functional.mse_loss(model(x[idx]), y[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if epoch % 4 == 0:
        print(f"epoch {epoch} mse {loss.item():.4f}")
with torch.no_grad():
    q = unmix.weight
    print("deviation from orthogonal", (q @ q.T - torch.eye(D)).abs().max().item())
    r2 = 1 - (model(x[800:]) - y[800:]).square().mean() / y[800:].var()
print(f"RESULT r2 {r2.item():.4f}")
