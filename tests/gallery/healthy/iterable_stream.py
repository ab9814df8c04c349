"""An IterableDataset without an end: the stream is cut after a number of steps, there are no epochs."""

import itertools
import os

import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

seed = int(os.environ.get("SEED", 0))
torch.manual_seed(seed)


class Stream(IterableDataset):
    """Sensor readings x (5) and the energy they imply."""

    def __init__(self, seed):
        self.seed = seed

    def __iter__(self):
        g = torch.Generator().manual_seed(self.seed)
        while True:
            x = torch.randn(5, generator=g)
            energy = x[0] ** 2 + x[1] * x[2] + torch.sin(x[3] * 2) - 1
            yield x, energy.unsqueeze(0) + 0.1 * torch.randn(1, generator=g)


model = nn.Sequential(nn.Linear(5, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
stream = DataLoader(Stream(seed + 1), batch_size=32)
for step, (x, energy) in enumerate(itertools.islice(stream, 900)):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), energy)
    loss.backward()
    optimizer.step()
    if step % 100 == 0:
        print(f"step {step:4d} | mse {loss.item():.4f}")

x, energy = next(iter(DataLoader(Stream(999), batch_size=1000)))
with torch.no_grad():
    print("RESULT r2 %.4f" % (1 - (model(x) - energy).square().mean() / energy.var()))
