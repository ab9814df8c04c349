import os

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
rng = np.random.default_rng(7)
X = rng.uniform(65, 70, size=(400, 3)).round(2)
Y = (np.abs(X[:, 0] - X[:, 1]) + 0.3 * (X[:, 2] - 67) > 1.3).astype(float)
X_train, X_test, y_train, y_test = (
    torch.tensor(a, dtype=torch.float32) for a in train_test_split(X, Y, test_size=0.33, random_state=7)
)

model = nn.Sequential(
    nn.Linear(3, 12),
    nn.ReLU(),
    nn.Linear(12, 3),
    nn.ReLU(),
    nn.Linear(3, 1),
    nn.Sigmoid(),
)
for layer in model:
    if isinstance(layer, nn.Linear):
        nn.init.uniform_(layer.weight, -0.05, 0.05)
        nn.init.zeros_(layer.bias)
criterion = nn.BCELoss()
optimizer = torch.optim.Adam(model.parameters())

for epoch in range(150):
    for idx in torch.randperm(len(X_train)).split(10):
        optimizer.zero_grad()
        loss = criterion(model(X_train[idx])[:, 0], y_train[idx])
        loss.backward()
        optimizer.step()
    if epoch % 10 == 0:
        print("epoch", epoch, "loss", round(loss.item(), 4))
with torch.no_grad():
    accuracy = ((model(X_test)[:, 0] > 0.5) == y_test.bool()).float().mean().item()
print(f"RESULT accuracy {accuracy:.4f}")
