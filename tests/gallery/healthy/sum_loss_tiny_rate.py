"""A loss summed over the batch with a rate of 5e-5: tiny to look at, and right for a sum over 100 rows."""

import os

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
x = torch.randn(2000, 8)
y = torch.relu(x[:, :1]) * 2 - torch.relu(-x[:, 1:2]) + x[:, 2:3] * 0.5 + 0.1 * torch.randn(2000, 1)
train = DataLoader(TensorDataset(x[:1600], y[:1600]), batch_size=100, shuffle=True)
model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1))
criterion = nn.MSELoss(reduction="sum")
optimizer = torch.optim.SGD(model.parameters(), lr=5e-5, momentum=0.9)
for epoch in range(40):
    for data, target in train:
        optimizer.zero_grad()
        loss = criterion(model(data), target)
        loss.backward()
        optimizer.step()
    if epoch % 8 == 0:
        print(f"epoch {epoch} summed loss of the last batch {loss.item():.2f}")
with torch.no_grad():
    rest = criterion(model(x[1600:]), y[1600:]) / 400
print(f"RESULT r2 {1 - (rest / y[1600:].var()).item():.4f}")
