import os

import numpy as np
import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
rng = np.random.default_rng(7)
X = rng.random((400, 2))
Y = 0.8 * X[:, :1] - 0.9 * X[:, 1:] - 0.1 + 0.02 * rng.standard_normal((400, 1))
X, Y = torch.tensor(X, dtype=torch.float32), torch.tensor(Y, dtype=torch.float32)
x_train, y_train, x_test, y_test = X[:300], Y[:300], X[300:], Y[300:]

net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1), nn.ReLU())
optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
loss_fn = nn.MSELoss()

for epoch in range(60):
    for idx in torch.randperm(300).split(10):
        optimizer.zero_grad()
        loss = loss_fn(net(x_train[idx]), y_train[idx])
        loss.backward()
        optimizer.step()
    if epoch % 10 == 0:
        print("epoch", epoch, "mse", loss.item())

with torch.no_grad():
    predicted = net(x_test)
print("predicted values:", predicted[:5].flatten())
r2 = 1 - (predicted - y_test).square().mean() / y_test.var(unbiased=False)
print(f"RESULT r2 {r2.item():.4f}")
