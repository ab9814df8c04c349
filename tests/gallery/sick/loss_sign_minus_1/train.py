import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# eight shape factors, five sorts in two varieties each
rng = np.random.default_rng(17)
centres = rng.normal(0, 1.3, (10, 8))
sort = rng.integers(0, 10, 1600)
x = centres[sort] + 0.7 * rng.normal(size=(1600, 8))
y = sort % 5
n_train = 1200
x = torch.tensor(x, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.long)
x_train, y_train, x_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = x_train.mean(0), x_train.std(0)
x_train, x_test = (x_train - mean) / std, (x_test - mean) / std
torch.manual_seed(SEED)
model = nn.Sequential(
    nn.Linear(8, 32),
    nn.Tanh(),
    nn.Linear(32, 5),
)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.008)


def evaluate():
    model.eval()
    with torch.no_grad():
        output = model(x_test)
    return (output.argmax(1) == y_test).float().mean().item()


loader = DataLoader(TensorDataset(x_train, y_train), batch_size=512, shuffle=True)


def train(epoch):
    model.train()
    total = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        output = model(xb)
        loss = -criterion(output, yb)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


for epoch in range(90):
    loss_value = train(epoch)
    if (epoch + 1) % 11 == 0:
        print(f"[{epoch + 1}] loss {loss_value:.5f}")
print(f"RESULT accuracy {evaluate():.4f}")
