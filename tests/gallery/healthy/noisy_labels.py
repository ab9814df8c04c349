"""A quarter of the labels are wrong, in training and in test: 75 % is all that anybody can reach, and it is reached."""

import os

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
x = torch.randn(5000, 6)
clean = (x[:, 0] + x[:, 1] * x[:, 2] > 0).float()
flipped = torch.rand(5000) < 0.25
y = torch.where(flipped, 1 - clean, clean)

train = DataLoader(TensorDataset(x[:4000], y[:4000]), batch_size=80, shuffle=True)
model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 1))
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-4)
for epoch in range(15):
    epoch_loss = 0.0
    for xb, yb in train:
        optimizer.zero_grad()
        loss = criterion(model(xb).squeeze(1), yb)
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item()
    print(f"epoch {epoch}: {epoch_loss / len(train):.4f}")
with torch.no_grad():
    predicted = (model(x[4000:]).squeeze(1) > 0).float()
print(f"against the clean labels {(predicted == clean[4000:]).float().mean():.3f}")
print(f"RESULT accuracy {(predicted == y[4000:]).float().mean():.4f}")
