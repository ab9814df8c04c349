import os

import numpy as np
import torch
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
x = np.arange(-100, 101) / 10
y = x**2 + 3
order = np.random.default_rng(1).permutation(len(x))
data = torch.tensor(np.stack([x, y], 1)[order], dtype=torch.float32)
X_train, Y_train = data[:150, :1], data[:150, 1:]
X_test, Y_test = data[150:, :1], data[150:, 1:]

neural_network = nn.Sequential(
    nn.Linear(1, 5),
    nn.Sigmoid(),
    nn.Linear(5, 1),
    nn.Sigmoid(),
)
optimizer = torch.optim.SGD(neural_network.parameters(), lr=0.01)
for epoch in range(1000):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(neural_network(X_train), Y_train)
    loss.backward()
    optimizer.step()
    if epoch % 100 == 0:
        print(epoch, loss.item())

with torch.no_grad():
    predicted = neural_network(X_test)
print(predicted[:5])
print(f"RESULT r2 {(1 - (predicted - Y_test).square().mean() / Y_test.var(unbiased=False)).item():.4f}")
