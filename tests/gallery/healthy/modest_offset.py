"""Inputs with means near 1 and spreads from 0.5 to 2, left as they are: not standardised, and not in need of it."""

import os

import torch
import torch.nn as nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
g = torch.Generator().manual_seed(10)
spread = torch.tensor([0.5, 1.0, 1.5, 2.0, 0.8])
x = 1.0 + spread * torch.randn(2000, 5, generator=g)
y = ((x[:, 0] - 1) * (x[:, 1] - 1) + 0.5 * (x[:, 2] - x[:, 4]) > 0).long()


class Perceptron(nn.Module):
    def __init__(self, n_in, n_hidden, n_out):
        super().__init__()
        self.inner = nn.Linear(n_in, n_hidden)
        self.middle = nn.Linear(n_hidden, n_hidden)
        self.outer = nn.Linear(n_hidden, n_out)

    def forward(self, x):
        return self.outer(self.middle(self.inner(x).relu()).relu())


model = Perceptron(5, 48, 2)
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
for epoch in range(20):
    model.train()
    for part in torch.randperm(1600).split(40):
        loss = nn.functional.cross_entropy(model(x[part]), y[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if epoch % 4 == 0:
        print("epoch", epoch, "loss", loss.item())
model.eval()
with torch.no_grad():
    print("RESULT accuracy", round((model(x[1600:]).argmax(1) == y[1600:]).float().mean().item(), 4))
