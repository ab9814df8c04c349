"""The whole data set in every step, no loader at all, as on a slide."""

import os

import torch
from sklearn import datasets

torch.manual_seed(int(os.environ.get("SEED", 0)))
X, y = datasets.make_moons(n_samples=500, noise=0.1, random_state=1)
X = torch.FloatTensor(X)
y = torch.FloatTensor(y).reshape(-1, 1)
X_test, y_test = datasets.make_moons(n_samples=500, noise=0.1, random_state=2)
X_test, y_test = torch.FloatTensor(X_test), torch.FloatTensor(y_test).reshape(-1, 1)

model = torch.nn.Sequential(
    torch.nn.Linear(2, 20),
    torch.nn.Tanh(),
    torch.nn.Linear(20, 20),
    torch.nn.Tanh(),
    torch.nn.Linear(20, 1),
    torch.nn.Sigmoid(),
)
criterion = torch.nn.BCELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
losses = []
for i in range(300):
    y_pred = model(X)
    loss = criterion(y_pred, y)
    losses.append(loss.item())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if i % 50 == 0:
        print("epoch:", i, "loss:", loss.item())
with torch.no_grad():
    print("RESULT accuracy", ((model(X_test) > 0.5) == (y_test > 0.5)).float().mean().item())
