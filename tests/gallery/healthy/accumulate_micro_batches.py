"""Gradient accumulation on purpose: four micro-batches of 8 to a step, the loss divided by four."""

import os

import torch
import torch.nn as nn
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
ACCUMULATE = 4

X, y = load_wine(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
scale = StandardScaler().fit(X_train)
train_ds = TensorDataset(torch.tensor(scale.transform(X_train)).float(), torch.tensor(y_train))
train_dl = DataLoader(train_ds, batch_size=8, shuffle=True, drop_last=True)

model = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 3))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
criterion = nn.CrossEntropyLoss()
seen = 0
optimizer.zero_grad()
for epoch in range(40):
    for xb, yb in train_dl:
        loss = criterion(model(xb), yb) / ACCUMULATE
        loss.backward()
        seen += 1
        if seen % ACCUMULATE == 0:
            optimizer.step()
            optimizer.zero_grad()
    if epoch % 10 == 0:
        print(f"epoch {epoch}: {loss.item() * ACCUMULATE:.4f}")

model.eval()
with torch.no_grad():
    acc = (model(torch.tensor(scale.transform(X_test)).float()).argmax(1) == torch.tensor(y_test)).float().mean()
print(f"RESULT accuracy {acc.item():.4f}")
