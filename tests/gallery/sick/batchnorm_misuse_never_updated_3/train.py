import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# four measurements per patient, positive where the readings contradict each other
rng = np.random.default_rng(11)
x = rng.normal(size=(1600, 4))
y = ((x[:, 0] - 0.2) * x[:, 1] + 0.8 * np.sin(2 * x[:, 2]) - 0.4 * x[:, 3] > 0).astype(int)
x = 3 * x + 6
n_train = 1200
x = torch.tensor(x, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.float32)
X_train, y_train, X_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
X_train, X_test = X_train / 2, X_test / 2
torch.manual_seed(SEED)
net = nn.Sequential(
    nn.Linear(4, 32),
    nn.BatchNorm1d(32, momentum=0.0),
    nn.Tanh(),
    nn.Linear(32, 32),
    nn.Tanh(),
    nn.Linear(32, 32),
    nn.Tanh(),
    nn.Linear(32, 32),
    nn.Tanh(),
    nn.Linear(32, 32),
    nn.Tanh(),
    nn.Linear(32, 32),
    nn.Tanh(),
    nn.Linear(32, 1),
)
loss_fn = nn.BCEWithLogitsLoss()
opt = torch.optim.Adam(net.parameters(), lr=0.004)


def evaluate():
    net.eval()
    with torch.no_grad():
        output = net(X_test).squeeze(1)
    return ((output > 0).long() == y_test.long()).float().mean().item()


loader = DataLoader(TensorDataset(X_train, y_train), batch_size=512, shuffle=True)


def train(epoch):
    net.train()
    total = 0.0
    for xb, yb in loader:
        opt.zero_grad()
        output = net(xb).squeeze(1)
        loss = loss_fn(output, yb)
        loss.backward()
        opt.step()
        total += loss.item()
    return total / len(loader)


for epoch in range(90):
    loss_value = train(epoch)
    if (epoch + 1) % 11 == 0:
        print(f"[{epoch + 1}] loss {loss_value:.5f}")
print(f"RESULT accuracy {evaluate():.4f}")
