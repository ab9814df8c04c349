import os

from torch import nn
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# two coils wound into each other
rng = np.random.default_rng(3)
turn = rng.uniform(0.3, 1.4, 1600) * np.pi * 1.2
y = rng.integers(0, 2, 1600)
x = np.column_stack([turn * np.cos(turn + np.pi * y), turn * np.sin(turn + np.pi * y)]) / 2.5
x = x + 0.08 * rng.normal(size=x.shape)
y = 2 * y - 1  # coded -1 / 1
n_train = 1200
x = torch.tensor(x, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.float32)
x_train, y_train, x_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = x_train.mean(0), x_train.std(0)
x_train, x_test = (x_train - mean) / std, (x_test - mean) / std
torch.manual_seed(SEED)
network = nn.Sequential(
    nn.Linear(2, 32),
    nn.ReLU(),
    nn.Linear(32, 32),
    nn.ReLU(),
    nn.Linear(32, 1),
)
lossf = nn.BCEWithLogitsLoss()
optim = torch.optim.RMSprop(network.parameters(), lr=0.001)


def evaluate():
    network.eval()
    with torch.no_grad():
        outputs = network(x_test).squeeze(1)
    return ((outputs > 0).long() == y_test.long()).float().mean().item()


for epoch in range(8):
    network.train()
    total = 0.0
    for idx in torch.randperm(n_train).split(8):
        inputs, labels = x_train[idx], y_train[idx]
        optim.zero_grad()
        outputs = network(inputs).squeeze(1)
        loss = lossf(outputs, labels)
        loss.backward()
        optim.step()
        total += loss.item() * len(idx)
    if epoch % 1 == 0:
        print(f"epoch {epoch} loss {total / n_train:.4f}")
print(f"RESULT accuracy {evaluate():.4f}")
