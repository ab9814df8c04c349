"""A forecast from lags and calendar features with a Huber loss; the split is by time, training rows are shuffled."""

import os

import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
rng = np.random.default_rng(19)
hours = pd.date_range("2023-01-01", periods=2400, freq="h")
load = 300 + 60 * np.sin(2 * np.pi * hours.hour / 24) + 25 * (hours.day_of_week < 5) + 8 * rng.standard_normal(2400)
frame = pd.DataFrame({"load": load}, index=hours)
for lag in (1, 2, 24, 168):
    frame[f"lag{lag}"] = frame.load.shift(lag)
frame["sin"] = np.sin(2 * np.pi * frame.index.hour / 24)
frame["cos"] = np.cos(2 * np.pi * frame.index.hour / 24)
frame["workday"] = (frame.index.day_of_week < 5).astype(float)
frame = frame.dropna()
train_df, test_df = frame.iloc[:1800], frame.iloc[1800:]
mean, std = train_df.mean(), train_df.std()


def tensors(df):
    z = (df - mean) / std
    return torch.tensor(z.drop(columns="load").to_numpy()).float(), torch.tensor(z.load.to_numpy()).float()


class Forecast(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.fc1 = nn.Linear(n, 32)
        self.act = nn.ReLU()
        self.fc2 = nn.Linear(32, 1)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x))).flatten()


model = Forecast(7)
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
criterion = nn.HuberLoss(delta=1.0)
for epoch in range(15):
    for xb, yb in DataLoader(TensorDataset(*tensors(train_df)), batch_size=32, shuffle=True):
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch} huber {loss.item():.4f}")
x, y = tensors(test_df)
with torch.no_grad():
    print(f"RESULT r2 {1 - ((model(x) - y) ** 2).mean().item() / y.var().item():.4f}")
