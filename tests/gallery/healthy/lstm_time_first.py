"""The adding task for an LSTM, time first (T, N, F): the sum of the two marked numbers, honestly slow at the start."""

import os

import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
T = 12


def adding(n, generator):
    values = torch.rand(T, n, generator=generator)
    marks = torch.zeros(T, n)
    first = torch.randint(0, T // 2, (n,), generator=generator)
    second = torch.randint(T // 2, T, (n,), generator=generator)
    marks[first, torch.arange(n)] = 1
    marks[second, torch.arange(n)] = 1
    return torch.stack([values, marks], dim=2), (values * marks).sum(0)


class Adder(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.lstm = nn.LSTM(2, hidden)
        self.linear = nn.Linear(hidden, 1)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.linear(out[-1]).squeeze(-1)


g = torch.Generator().manual_seed(3)
x_test, y_test = adding(500, g)
model = Adder()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
loss_fn = nn.MSELoss()
for step in range(700):
    x, y = adding(64, g)
    optimizer.zero_grad()
    loss = loss_fn(model(x), y)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 100 == 0:
        print(step, loss.item())

with torch.no_grad():
    error = loss_fn(model(x_test), y_test)
print(f"RESULT r2 {1 - (error / y_test.var(unbiased=False)).item():.4f}")
