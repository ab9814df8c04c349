"""Research style: a dict of raw tensors and functional calls, Nesterov SGD, weight decay by hand."""

import os

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

torch.manual_seed(int(os.environ.get("SEED", 0)))
X, T = load_digits(return_X_y=True)
X, T = torch.tensor(X).float().view(-1, 1, 8, 8) / 16, torch.tensor(T)
keep = torch.randperm(len(T), generator=torch.Generator().manual_seed(7))
X, T = X[keep], T[keep]


def kaiming(*shape):
    fan_in = torch.Size(shape[1:]).numel()
    return (torch.randn(*shape) * (2 / fan_in) ** 0.5).requires_grad_()


P = {
    "c1": kaiming(16, 1, 3, 3),
    "c2": kaiming(32, 16, 3, 3),
    "w": kaiming(10, 32 * 16),
    "b": torch.zeros(10, requires_grad=True),
}


def f(x, p):
    h = F.relu(F.layer_norm(F.conv2d(x, p["c1"], padding=1), (16, 8, 8)))
    h = F.relu(F.layer_norm(F.conv2d(h, p["c2"], stride=2, padding=1), (32, 4, 4)))
    return F.linear(h.flatten(1), p["w"], p["b"])


opt = torch.optim.SGD(P.values(), lr=0.02, momentum=0.9, nesterov=True)
for ep in range(6):
    for i in torch.randperm(1400).split(32):
        l2 = sum(v.pow(2).sum() for k, v in P.items() if k != "b")
        loss = F.cross_entropy(f(X[i], P), T[i]) + 1e-4 * l2
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(ep, f"{loss.item():.4f}")
with torch.no_grad():
    print("RESULT accuracy", f"{(f(X[1400:], P).argmax(1) == T[1400:]).float().mean():.4f}")
