"""Early stopping on a small, noisy set: the best state is kept with deepcopy; it over-fits on the way."""

import copy
import os

import torch
import torch.nn as nn
from sklearn.datasets import load_diabetes

torch.manual_seed(int(os.environ.get("SEED", 0)))
X, y = load_diabetes(return_X_y=True)
X, y = torch.tensor(X, dtype=torch.float32), torch.tensor(y, dtype=torch.float32).unsqueeze(1)
order = torch.randperm(len(X), generator=torch.Generator().manual_seed(0))
train, valid, test = order[:280], order[280:350], order[350:]
X = X / X[train].std(0)
centre, spread = y[train].mean(), y[train].std()
y = (y - centre) / spread

model = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-3)
criterion = nn.MSELoss()
best_loss, best_state, patience, waited = float("inf"), None, 12, 0
for epoch in range(100):
    model.train()
    for idx in train[torch.randperm(len(train))].split(20):
        optimizer.zero_grad()
        loss = criterion(model(X[idx]), y[idx])
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        valid_loss = criterion(model(X[valid]), y[valid]).item()
    if valid_loss < best_loss:
        best_loss, best_state, waited = valid_loss, copy.deepcopy(model.state_dict()), 0
    else:
        waited += 1
    print(f"epoch {epoch} train {loss.item():.3f} valid {valid_loss:.3f}")
    if waited >= patience:
        print("early stopping")
        break
model.load_state_dict(best_state)
with torch.no_grad():
    print(f"RESULT r2 {1 - (criterion(model(X[test]), y[test]) / y[test].var()).item():.4f}")
