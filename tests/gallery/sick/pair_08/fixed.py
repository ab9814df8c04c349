import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# 10 x 10 pictures: a bar, a column, a frame or a diagonal, in noise
rng = np.random.default_rng(41)
y = rng.integers(0, 4, 1200)
x = 0.5 * rng.normal(size=(1200, 10, 10))
for img, k in zip(x, y):
    r, c = rng.integers(2, 8, 2)
    if k == 0:
        img[r, 1:9] += 2
    elif k == 1:
        img[1:9, c] += 2
    elif k == 2:
        img[[r - 2, r + 1], c - 2:c + 2] += 2
        img[r - 2:r + 2, [c - 2, c + 1]] += 2
    else:
        i = np.arange(1, 9)
        img[i, i] += 2
y = y + 1  # classes 1, 2, ...
y = y - 1
n_train = 900
x = torch.tensor(x, dtype=torch.float64)
y = torch.tensor(y, dtype=torch.long)
x_train, y_train, x_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = x_train.mean(), x_train.std()
x_train, x_test = (x_train - mean) / std, (x_test - mean) / std
torch.manual_seed(SEED)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.unflatten1 = nn.Unflatten(1, (1, 10))
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.maxpool1 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(400, 4)

    def forward(self, x):
        h = self.unflatten1(x)
        h = self.conv1(h)
        h = torch.relu(h)
        h = self.maxpool1(h)
        h = h.flatten(1)
        h = self.fc1(h)
        return h


model = Net().double()
loss_function = nn.CrossEntropyLoss()
optimiser = torch.optim.Adam(model.parameters(), lr=0.004)


def evaluate():
    model.eval()
    with torch.no_grad():
        pred = model(x_test)
    return (pred.argmax(1) == y_test).float().mean().item()


loader = DataLoader(TensorDataset(x_train, y_train), batch_size=512, shuffle=True)
for epoch in range(60):
    model.train()
    total = 0.0
    for data, target in loader:
        optimiser.zero_grad()
        pred = model(data)
        loss = loss_function(pred, target)
        loss.backward()
        optimiser.step()
        total += loss.item()
    if epoch % 7 == 0:
        print("Epoch %d loss %.4f" % (epoch, total / len(loader)))
print(f"RESULT accuracy {evaluate():.4f}")
