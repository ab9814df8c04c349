import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# two coils wound into each other
rng = np.random.default_rng(3)
turn = rng.uniform(0.3, 1.4, 1600) * np.pi * 1.2
y = rng.integers(0, 2, 1600)
x = np.column_stack([turn * np.cos(turn + np.pi * y), turn * np.sin(turn + np.pi * y)]) / 2.5
x = x + 0.08 * rng.normal(size=x.shape)
n_train = 1200
x = torch.tensor(x, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.float32)
train_x, train_y, test_x, test_y = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = train_x.mean(0), train_x.std(0)
train_x, test_x = (train_x - mean) / std, (test_x - mean) / std
torch.manual_seed(SEED)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(2, 16)
        self.fc2 = nn.Linear(16, 16)
        self.fc3 = nn.Linear(16, 16)
        self.fc4 = nn.Linear(16, 16)
        self.fc5 = nn.Linear(16, 1)

    def forward(self, x):
        h = self.fc1(x)
        h = torch.tanh(h)
        h = self.fc2(h)
        h = torch.tanh(h)
        h = self.fc3(h)
        h = torch.tanh(h)
        h = self.fc4(h)
        h = torch.tanh(h)
        h = self.fc5(h)
        return h


clf = Net()
for p in list(clf.parameters())[:-2]:
    p.requires_grad = False
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.RMSprop(clf.parameters(), lr=0.001)


def evaluate():
    clf.eval()
    with torch.no_grad():
        output = clf(test_x).squeeze(1)
    return ((output > 0).long() == test_y.long()).float().mean().item()


loader = DataLoader(TensorDataset(train_x, train_y), batch_size=64, shuffle=True)
for epoch in range(24):
    clf.train()
    running = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        output = clf(xb).squeeze(1)
        loss = criterion(output, yb)
        loss.backward()
        optimizer.step()
        running += loss.item()
    if epoch % 3 == 0:
        print("Epoch %d loss %.4f" % (epoch, running / len(loader)))
print(f"RESULT accuracy {evaluate():.4f}")
