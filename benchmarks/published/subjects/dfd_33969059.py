import os

import numpy as np
import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
np.random.seed(0)


def get_data(count, weights, offset, bounds):
    x = np.random.rand(count, len(weights)) * bounds
    return torch.tensor(x, dtype=torch.float32), torch.tensor(x @ weights + offset, dtype=torch.float32)[:, None]


X_train, y_train = get_data(6000, np.array([2.0, 1.0, 0.5]), 2.2, 10000)
X_test, y_test = get_data(1000, np.array([2.0, 1.0, 0.5]), 2.2, 10000)

model = nn.Sequential(
    nn.Linear(3, 3),
    nn.Tanh(),
    nn.Dropout(0.5),
    nn.Linear(3, 2),
    nn.Tanh(),
    nn.Dropout(0.5),
    nn.Linear(2, 1),
    nn.Softmax(dim=1),
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
criterion = nn.MSELoss()

for epoch in range(5):
    model.train()
    for idx in torch.randperm(len(X_train)).split(32):
        optimizer.zero_grad()
        loss = criterion(model(X_train[idx]), y_train[idx])
        loss.backward()
        optimizer.step()
    print("epoch", epoch, "loss", loss.item())

model.eval()
with torch.no_grad():
    predictions = model(X_test)
print(predictions[:4])
print(f"RESULT r2 {(1 - (predictions - y_test).square().mean() / y_test.var()).item():.4f}")
