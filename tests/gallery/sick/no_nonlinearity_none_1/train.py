import os

from torch import nn
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# four measurements per patient, positive where the readings contradict each other
rng = np.random.default_rng(11)
x = rng.normal(size=(1600, 4))
y = ((x[:, 0] - 0.2) * x[:, 1] + 0.8 * np.sin(2 * x[:, 2]) - 0.4 * x[:, 3] > 0).astype(int)
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
        self.fc1 = nn.Linear(4, 64)
        self.fc2 = nn.Linear(64, 64)
        self.fc3 = nn.Linear(64, 64)
        self.fc4 = nn.Linear(64, 64)
        self.fc5 = nn.Linear(64, 64)
        self.fc6 = nn.Linear(64, 64)
        self.fc7 = nn.Linear(64, 1)

    def forward(self, x):
        h = self.fc1(x)
        h = self.fc2(h)
        h = self.fc3(h)
        h = self.fc4(h)
        h = self.fc5(h)
        h = self.fc6(h)
        h = self.fc7(h)
        return h


clf = Net()
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.SGD(clf.parameters(), lr=0.03, momentum=0.9)


def evaluate():
    clf.eval()
    with torch.no_grad():
        output = clf(test_x).squeeze(1)
    return ((output > 0).long() == test_y.long()).float().mean().item()


for epoch in range(24):
    clf.train()
    running = 0.0
    for idx in torch.randperm(n_train).split(64):
        xb, yb = train_x[idx], train_y[idx]
        optimizer.zero_grad()
        output = clf(xb).squeeze(1)
        loss = criterion(output, yb)
        loss.backward()
        optimizer.step()
        running += loss.item() * len(idx)
    if epoch % 3 == 0:
        print(f"epoch {epoch} loss {running / n_train:.4f}")
print(f"RESULT accuracy {evaluate():.4f}")
