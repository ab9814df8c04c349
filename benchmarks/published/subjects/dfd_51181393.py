import os

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
data = torch.tensor(np.linspace(1, 2, 100).reshape(-1, 1), dtype=torch.float32)
y = data * 5
order = torch.randperm(100, generator=torch.Generator().manual_seed(42))
train, test = order[:80], order[80:]

model = nn.Linear(1, 1)
criterion = nn.MSELoss()
optimizer = torch.optim.RMSprop(model.parameters(), lr=0.001)
loader = DataLoader(TensorDataset(data[train], y[train]), batch_size=32, shuffle=True)

for epoch in range(200):
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
    if epoch % 20 == 0:
        print(f"epoch {epoch} loss {loss.item():.4f}")

with torch.no_grad():
    prediction = model(data[test])
print(f"RESULT r2 {(1 - (prediction - y[test]).square().mean() / y[test].var(unbiased=False)).item():.4f}")
