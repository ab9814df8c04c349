import os

import numpy as np
import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
noise = np.random.default_rng(0).standard_normal((50, 1))
X = np.arange(0.0, 5.0, 0.1, dtype="float32").reshape(-1, 1)
y = (5 * X**2 + noise**3).astype("float32")
X, y = torch.from_numpy(X), torch.from_numpy(y)

model = nn.Sequential(nn.Linear(1, 50), nn.ReLU(), nn.Linear(50, 30), nn.ReLU(), nn.Linear(30, 1))
sgd = torch.optim.SGD(model.parameters(), lr=0.1)
mse = nn.MSELoss()

for epoch in range(1000):
    for idx in torch.randperm(len(X)).split(32):
        sgd.zero_grad()
        loss = mse(model(X[idx]), y[idx])
        loss.backward()
        sgd.step()
    if epoch % 100 == 0:
        print("epoch", epoch, "loss", loss.item())

with torch.no_grad():
    predictions = torch.nan_to_num(model(X))
print(f"RESULT r2 {(1 - (predictions - y).square().mean() / y.var(unbiased=False)).item():.4f}")
