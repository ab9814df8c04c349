import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# 20 samples of a tone; which of three pitches?
rng = np.random.default_rng(47)
y = rng.integers(0, 3, 1200)
t = np.arange(20)
pitch = np.array([0.35, 0.7, 1.2])[y]
x = np.sin(pitch[:, None] * t + rng.uniform(0, 6.28, (1200, 1))) * 1.3 + 0.3 * rng.normal(size=(1200, 20))
x = x[:, :, None]
x = (x * 5000).round()  # raw counts of the converter
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
        self.gru1 = nn.GRU(1, 16, batch_first=True)
        self.fc1 = nn.Linear(16, 3)

    def forward(self, x):
        h = self.gru1(x)
        h = h[0][:, -1]
        h = self.fc1(h)
        return h


model = Net().double()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.06, momentum=0.9)


def evaluate():
    model.eval()
    with torch.no_grad():
        output = model(x_test)
    return (output.argmax(1) == y_test).float().mean().item()


loader = DataLoader(TensorDataset(x_train, y_train), batch_size=64, shuffle=True)
for epoch in range(14):
    model.train()
    total = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        output = model(xb)
        loss = criterion(output, yb)
        loss.backward()
        optimizer.step()
        total += loss.item()
    if epoch % 1 == 0:
        print("Epoch %d loss %.4f" % (epoch, total / len(loader)))
print(f"RESULT accuracy {evaluate():.4f}")
