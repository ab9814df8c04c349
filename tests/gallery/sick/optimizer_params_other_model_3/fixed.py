import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# 24 samples of two channels; does the second channel follow the first by two steps, or lead it?
rng = np.random.default_rng(43)
y = rng.integers(0, 2, 1200)
first = rng.normal(size=(1200, 28))
shifted = np.where(y[:, None] == 1, np.roll(first, 1, 1), np.roll(first, -1, 1))
x = np.stack([first, shifted + 0.3 * rng.normal(size=first.shape)], axis=2)[:, 2:26]
n_train = 900
x = torch.tensor(x, dtype=torch.float64)
y = torch.tensor(y, dtype=torch.float64)
x_train, y_train, x_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = x_train.mean(), x_train.std()
x_train, x_test = (x_train - mean) / std, (x_test - mean) / std
torch.manual_seed(SEED)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru1 = nn.GRU(2, 16, batch_first=True)
        self.fc1 = nn.Linear(16, 1)

    def forward(self, x):
        h = self.gru1(x)
        h = h[0][:, -1]
        h = self.fc1(h)
        return h


model = Net().double()
loss_function = nn.BCEWithLogitsLoss()
optimiser = torch.optim.AdamW(model.parameters(), lr=0.002)


def evaluate():
    model.eval()
    with torch.no_grad():
        pred = model(x_test).squeeze(1)
    return ((pred > 0).long() == y_test.long()).float().mean().item()


loader = DataLoader(TensorDataset(x_train, y_train), batch_size=8, shuffle=True)


def train(epoch):
    model.train()
    total = 0.0
    for data, target in loader:
        optimiser.zero_grad()
        pred = model(data).squeeze(1)
        loss = loss_function(pred, target)
        loss.backward()
        optimiser.step()
        total += loss.item()
    return total / len(loader)


for epoch in range(5):
    loss_value = train(epoch)
    if (epoch + 1) % 1 == 0:
        print(f"[{epoch + 1}] loss {loss_value:.5f}")
print(f"RESULT accuracy {evaluate():.4f}")
