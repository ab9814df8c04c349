import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import copy
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
n_train = 900
x = torch.tensor(x, dtype=torch.float32)
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
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1)
        self.maxpool1 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(400, 4)

    def forward(self, x):
        h = self.unflatten1(x)
        h = self.conv1(h)
        h = torch.relu(h)
        h = self.conv2(h)
        h = torch.relu(h)
        h = self.maxpool1(h)
        h = h.flatten(1)
        h = self.fc1(h)
        return h


model = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.RMSprop(model.parameters(), lr=0.0006)
best, best_state = -1.0, None


def evaluate():
    model.eval()
    with torch.no_grad():
        output = model(x_test)
    return (output.argmax(1) == y_test).float().mean().item()


loader = DataLoader(TensorDataset(x_train, y_train), batch_size=8, shuffle=True)
for epoch in range(5):
    model.train()
    total = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        output = model(xb)
        loss = criterion(output, yb)
        loss.backward()
        optimizer.step()
        total += loss.item()
    score = evaluate()
    if score > best:
        best, best_state = score, copy.deepcopy(model.state_dict())
    if epoch % 1 == 0:
        print("Epoch %d loss %.4f" % (epoch, total / len(loader)))
for group in optimizer.param_groups:  # a warm restart, to look for another minimum
    group["lr"] *= 100
for _ in range(60):
    idx = torch.randint(0, n_train, (64,))
    xb, yb = x_train[idx], y_train[idx]
    optimizer.zero_grad()
    output = model(xb)
    loss = criterion(output, yb)
    loss.backward()
    optimizer.step()
model.load_state_dict(best_state)
print(f"RESULT accuracy {evaluate():.4f}")
