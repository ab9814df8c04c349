"""Mixup: inputs and labels are blended, so the training loss stays high and a training accuracy means little."""

import os

import numpy as np
import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
np.random.seed(int(os.environ.get("SEED", 0)))


def spectra(n, rng):
    """40 channels, one of four bumps on a sloping ground."""
    kind = rng.integers(0, 4, n)
    c = np.arange(40)
    bump = np.exp(-((c - (8 + 8 * kind[:, None] + rng.normal(0, 1, (n, 1)))) ** 2) / 8)
    return torch.tensor(bump * 1.5 + rng.normal(0, 0.4, (n, 40))).float(), torch.tensor(kind)


def mixup_data(x, y, alpha=0.4):
    lam = np.random.beta(alpha, alpha)
    index = torch.randperm(x.size(0))
    return lam * x + (1 - lam) * x[index], y, y[index], lam


x, y = spectra(1500, np.random.default_rng(0))
x_test, y_test = spectra(500, np.random.default_rng(1))
net = nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 4))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
for epoch in range(12):
    net.train()
    train_loss = 0
    for idx in torch.randperm(1500).split(50):
        inputs, targets_a, targets_b, lam = mixup_data(x[idx], y[idx])
        outputs = net(inputs)
        loss = lam * criterion(outputs, targets_a) + (1 - lam) * criterion(outputs, targets_b)
        train_loss += loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}: loss {train_loss / 30:.3f}")
net.eval()
with torch.no_grad():
    print(f"RESULT accuracy {(net(x_test).argmax(1) == y_test).float().mean():.4f}")
