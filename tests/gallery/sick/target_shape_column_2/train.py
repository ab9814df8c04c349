import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# yield of a reactor from five settings
rng = np.random.default_rng(23)
x = rng.uniform(-1.7, 1.7, (1600, 5))
y = np.sin(1.5 * x[:, 0]) + 0.6 * x[:, 1] * x[:, 2] - 0.5 * np.abs(x[:, 3]) + 0.1 * x[:, 4]
y = (y - y.mean()) / y.std() + 0.05 * rng.normal(size=1600)
n_train = 1200
x = torch.tensor(x, dtype=torch.float64)
y = torch.tensor(y, dtype=torch.float64)
x_train, y_train, x_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = x_train.mean(0), x_train.std(0)
x_train, x_test = (x_train - mean) / std, (x_test - mean) / std
torch.manual_seed(SEED)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(5, 4)
        self.fc2 = nn.Linear(4, 4)
        self.fc3 = nn.Linear(4, 4)
        self.fc4 = nn.Linear(4, 4)
        self.fc5 = nn.Linear(4, 4)
        self.fc6 = nn.Linear(4, 4)
        self.fc7 = nn.Linear(4, 1)

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
        h = torch.tanh(h)
        h = self.fc6(h)
        h = torch.tanh(h)
        h = self.fc7(h)
        return h


model = Net().double()
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.002)


def evaluate():
    model.eval()
    with torch.no_grad():
        output = model(x_test).squeeze(1)
    return 1 - ((output - y_test) ** 2).mean().item() / y_test.var().item()


loader = DataLoader(TensorDataset(x_train, y_train), batch_size=64, shuffle=True)
for epoch in range(24):
    model.train()
    total = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        output = model(xb)
        loss = criterion(output, yb)
        loss.backward()
        optimizer.step()
        total += loss.item()
    if epoch % 3 == 0:
        print("Epoch %d loss %.4f" % (epoch, total / len(loader)))
print(f"RESULT r2 {evaluate():.4f}")
