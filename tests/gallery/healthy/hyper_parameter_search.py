"""A search over widths and rates; one rate is hopelessly small, which is what a search is for."""

import itertools
import os

import torch
from sklearn.datasets import make_circles
from torch import nn

seed = int(os.environ.get("SEED", 0))
x, y = make_circles(1200, noise=0.1, factor=0.5, random_state=5)
x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
x, y = (x[:600], x[600:900], x[900:]), (y[:600], y[600:900], y[900:])


def score(net, part):
    with torch.no_grad():
        return ((net(x[part]).squeeze(1) > 0) == (y[part] > 0.5)).float().mean().item()


def train(width, lr, epochs):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    for _ in range(epochs):
        for idx in torch.randperm(600).split(30):
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(net(x[0][idx]).squeeze(1), y[0][idx])
            loss.backward()
            optimizer.step()
    return net


best = (0.0, None)
for width, lr in itertools.product([16, 64], [3e-2, 1e-2, 1e-4]):
    net = train(width, lr, 12)
    print(f"width {width:3d} lr {lr:.0e} valid {score(net, 1):.3f}")
    best = max(best, (score(net, 1), (width, lr)), key=lambda b: b[0])
final = train(*best[1], 30)
print("chosen", best[1])
print(f"RESULT accuracy {score(final, 2):.4f}")
