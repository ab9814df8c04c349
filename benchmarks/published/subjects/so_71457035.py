import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, optim

torch.manual_seed(int(os.environ.get("SEED", 0)))
X = np.random.default_rng(0).random((2500, 22))
y = (X[:, :11].sum(1) > X[:, 11:].sum(1)).astype(float)
X, y = torch.tensor(X).float(), torch.tensor(y).reshape(-1, 1)
X_train, y_train, X_test, y_test = X[:2000], y[:2000], X[2000:], y[2000:]


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(22, 10)
        self.fc2 = nn.Linear(10, 1)

    def forward(self, x):
        x = x.view(x.shape[0], -1)
        x = F.relu(self.fc1(x))
        return F.log_softmax(self.fc2(x), dim=1)


model = Classifier()
criterion = nn.BCELoss()
optimizer = optim.SGD(model.parameters(), lr=0.1)
for e in range(1000):
    optimizer.zero_grad()
    loss = criterion(model(X_train), y_train.float())
    loss.backward()
    optimizer.step()
    if e % 100 == 0:
        print(f"epoch {e} training loss {loss.item():.3f}")

with torch.no_grad():
    accuracy = ((model(X_test) > 0.5) == y_test.bool()).float().mean().item()
print(f"RESULT accuracy {accuracy:.4f}")
