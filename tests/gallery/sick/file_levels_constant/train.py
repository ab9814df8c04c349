"""Learn the last column of readings.npy from the others."""

import os

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)
table = np.load(os.path.join(os.path.dirname(os.path.abspath(__file__)), "readings.npy"))
mix = torch.randperm(len(table), generator=torch.Generator().manual_seed(1))
train_rows, test_rows = mix[: len(table) * 3 // 4], mix[len(table) * 3 // 4 :]
x = torch.tensor(table[:, :-1], dtype=torch.float32)
y = torch.tensor(table[:, -1], dtype=torch.float32)
x_train, x_test = x[train_rows], x[test_rows]
y_train, y_test = y[train_rows], y[test_rows]


class Meter(nn.Module):
    def __init__(self, n_in):
        super().__init__()
        self.inner = nn.Linear(n_in, 64)
        self.outer = nn.Linear(64, 1)

    def forward(self, x):
        return self.outer(torch.tanh(self.inner(x))).squeeze(-1)


net = Meter(x.shape[1])
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
for epoch in range(40):
    net.train()
    for part in torch.randperm(len(x_train)).split(40):
        loss = nn.functional.mse_loss(net(x_train[part]), y_train[part])
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 8 == 0:
        print("epoch", epoch, "mse", loss.item())
net.eval()
with torch.no_grad():
    rest = ((net(x_test) - y_test) ** 2).mean()
print(f"RESULT r2 {1 - (rest / y_test.var()).item():.4f}")
