import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# one coordinate, a bent curve
rng = np.random.default_rng(31)
x = rng.uniform(-1.8, 1.8, (1600, 1))
y = np.sin(2.2 * x[:, 0]) + 0.5 * x[:, 0] ** 2
y = (y - y.mean()) / y.std() + 0.05 * rng.normal(size=1600)
y = 4e6 * y
n_train = 1200
x = torch.tensor(x, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.float32)
train_x, train_y, test_x, test_y = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = train_x.mean(0), train_x.std(0)
train_x, test_x = (train_x - mean) / std, (test_x - mean) / std
y_mean, y_std = train_y.mean(), train_y.std()
train_y, test_y = (train_y - y_mean) / y_std, (test_y - y_mean) / y_std
torch.manual_seed(SEED)
clf = nn.Sequential(
    nn.Linear(1, 64),
    nn.Tanh(),
    nn.Linear(64, 1),
)
criterion = nn.MSELoss()
optimizer = torch.optim.RMSprop(clf.parameters(), lr=0.001)


def evaluate():
    clf.eval()
    with torch.no_grad():
        output = clf(test_x).squeeze(1)
    return 1 - ((output - test_y) ** 2).mean().item() / test_y.var().item()


loader = DataLoader(TensorDataset(train_x, train_y), batch_size=8, shuffle=True)
for epoch in range(8):
    clf.train()
    running = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        output = clf(xb).squeeze(1)
        loss = criterion(output, yb)
        loss.backward()
        optimizer.step()
        running += loss.item()
    if epoch % 1 == 0:
        print("Epoch %d loss %.4f" % (epoch, running / len(loader)))
print(f"RESULT r2 {evaluate():.4f}")
