"""Curve fitting in float64 throughout, numpy arrays taken over as they are."""

import os

import numpy as np
import torch

torch.manual_seed(int(os.environ.get("SEED", 0)))


class Curve(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = torch.nn.Linear(1, 40)
        self.hidden2 = torch.nn.Linear(40, 40)
        self.predict = torch.nn.Linear(40, 1)

    def forward(self, x):
        x = torch.relu(self.hidden(x))
        x = torch.relu(self.hidden2(x))
        return self.predict(x)


rng = np.random.RandomState(1)
x = rng.uniform(-1, 1, (800, 1))
y = x**3 - 0.7 * np.abs(x) + 0.02 * rng.randn(800, 1)
x, y = torch.from_numpy((x - x.mean()) / x.std()), torch.from_numpy((y - y.mean()) / y.std())
net = Curve().double()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
loss_func = torch.nn.MSELoss()
for t in range(60):
    for i in torch.randperm(600).view(-1, 30):
        loss = loss_func(net(x[i]), y[i])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if t % 10 == 0:
        print(t, loss.item())
with torch.no_grad():
    print("RESULT r2 %.4f" % (1 - loss_func(net(x[600:]), y[600:]) / y[600:].var()).item())
