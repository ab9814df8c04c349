"""LBFGS with a closure on the full batch, float64: several backward passes to a step, as the method wants."""

import os

import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
torch.set_default_dtype(torch.float64)
x = torch.linspace(-3, 3, 300).unsqueeze(1)
y = torch.sin(3 * x) * torch.exp(-0.1 * x**2) + 0.05 * torch.randn_like(x)
hold = torch.arange(300) % 5 == 0

net = nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 1))
criterion = nn.MSELoss()
optimizer = torch.optim.LBFGS(net.parameters(), lr=1, max_iter=10, line_search_fn="strong_wolfe")


def closure():
    optimizer.zero_grad()
    loss = criterion(net(x[~hold]), y[~hold])
    loss.backward()
    return loss


for step in range(20):
    value = optimizer.step(closure)
    if step % 4 == 0:
        print("step:", step, "loss:", value.item())
with torch.no_grad():
    print("RESULT r2", round(1 - (criterion(net(x[hold]), y[hold]) / y[hold].var()).item(), 4))
