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
X_train, y_train, X_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = X_train.mean(0), X_train.std(0)
X_train, X_test = (X_train - mean) / std, (X_test - mean) / std
torch.manual_seed(SEED)
net = nn.Sequential(
    nn.Linear(8, 2),
    nn.ReLU(),
    nn.Linear(2, 2),
    nn.ReLU(),
    nn.Linear(2, 2),
    nn.ReLU(),
    nn.Linear(2, 5),
)
loss_fn = nn.CrossEntropyLoss()
opt = torch.optim.AdamW(net.parameters(), lr=0.002)


def evaluate():
    net.eval()
    with torch.no_grad():
        output = net(X_test)
    return (output.argmax(1) == y_test).float().mean().item()


loader = DataLoader(TensorDataset(X_train, y_train), batch_size=8, shuffle=True)


def train(epoch):
    net.train()
    total = 0.0
    for xb, yb in loader:
        opt.zero_grad()
        output = net(xb)
        loss = loss_fn(output, yb)
        loss.backward()
        opt.step()
        total += loss.item()
    return total / len(loader)


for epoch in range(8):
    loss_value = train(epoch)
    if (epoch + 1) % 1 == 0:
        print(f"[{epoch + 1}] loss {loss_value:.5f}")
print(f"RESULT accuracy {evaluate():.4f}")
