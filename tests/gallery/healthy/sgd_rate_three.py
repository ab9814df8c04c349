"""Sigmoids against one-hot targets by mean squared error: SGD at 3.0 is right, as the mean is over all outputs."""

import os

import torch
import torch.nn as nn
from sklearn.datasets import load_digits

torch.manual_seed(int(os.environ.get("SEED", 0)))
x, y = load_digits(return_X_y=True)
x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
x, y = x[order], y[order]
targets = nn.functional.one_hot(y, 10).float()


class Network(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:]))

    def forward(self, a):
        for layer in self.layers:
            a = torch.sigmoid(layer(a))
        return a


net = Network([64, 30, 10])
for layer in net.layers:
    nn.init.xavier_normal_(layer.weight, gain=4)
optimizer = torch.optim.SGD(net.parameters(), lr=3.0)
loss_fn = nn.MSELoss()
for epoch in range(30):
    for idx in torch.randperm(1400).split(10):
        loss = loss_fn(net(x[idx]), targets[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if epoch % 5 == 0:
        with torch.no_grad():
            hits = (net(x[1400:]).argmax(1) == y[1400:]).sum().item()
        print(f"Epoch {epoch}: {hits} / {len(y) - 1400}")
with torch.no_grad():
    print(f"RESULT accuracy {(net(x[1400:]).argmax(1) == y[1400:]).float().mean().item():.4f}")
