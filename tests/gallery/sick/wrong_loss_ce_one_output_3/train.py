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
n_train = 1200
x = torch.tensor(x, dtype=torch.float64)
y = torch.tensor(y, dtype=torch.float64)
x_train, y_train, x_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = x_train.mean(0), x_train.std(0)
x_train, x_test = (x_train - mean) / std, (x_test - mean) / std
torch.manual_seed(SEED)
model = nn.Sequential(
    nn.Linear(4, 32),
    nn.ReLU(),
    nn.Linear(32, 32),
    nn.ReLU(),
    nn.Linear(32, 1),
).double()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.RMSprop(model.parameters(), lr=0.001)


def evaluate():
    model.eval()
    with torch.no_grad():
        output = model(x_test).squeeze(1)
    return ((output > 0).long() == y_test.long()).float().mean().item()


loader = DataLoader(TensorDataset(x_train, y_train), batch_size=8, shuffle=True)


def train(epoch):
    model.train()
    total = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        output = model(xb)
        loss = criterion(output, yb.unsqueeze(1))
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


for epoch in range(8):
    loss_value = train(epoch)
    if (epoch + 1) % 1 == 0:
        print(f"[{epoch + 1}] loss {loss_value:.5f}")
print(f"RESULT accuracy {evaluate():.4f}")
