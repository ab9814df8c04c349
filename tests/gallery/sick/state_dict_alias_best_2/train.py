import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import copy
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
x_train, y_train, x_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
mean, std = x_train.mean(0), x_train.std(0)
x_train, x_test = (x_train - mean) / std, (x_test - mean) / std
torch.manual_seed(SEED)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(4, 32)
        self.fc2 = nn.Linear(32, 32)
        self.fc3 = nn.Linear(32, 32)
        self.fc4 = nn.Linear(32, 32)
        self.fc5 = nn.Linear(32, 1)

    def forward(self, x):
        h = self.fc1(x)
        h = torch.relu(h)
        h = self.fc2(h)
        h = torch.relu(h)
        h = self.fc3(h)
        h = torch.relu(h)
        h = self.fc4(h)
        h = torch.relu(h)
        h = self.fc5(h)
        return h


network = Net()
lossf = nn.BCEWithLogitsLoss()
optim = torch.optim.RMSprop(network.parameters(), lr=0.001)
best, best_state = -1.0, None


def evaluate():
    network.eval()
    with torch.no_grad():
        outputs = network(x_test).squeeze(1)
    return ((outputs > 0).long() == y_test.long()).float().mean().item()


loader = DataLoader(TensorDataset(x_train, y_train), batch_size=64, shuffle=True)
for epoch in range(24):
    network.train()
    total = 0.0
    for inputs, labels in loader:
        optim.zero_grad()
        outputs = network(inputs).squeeze(1)
        loss = lossf(outputs, labels)
        loss.backward()
        optim.step()
        total += loss.item()
    score = evaluate()
    if score > best:
        best, best_state = score, network.state_dict()
    if epoch % 3 == 0:
        print("Epoch %d loss %.4f" % (epoch, total / len(loader)))
for group in optim.param_groups:  # a warm restart, to look for another minimum
    group["lr"] *= 100
for _ in range(60):
    idx = torch.randint(0, n_train, (64,))
    inputs, labels = x_train[idx], y_train[idx]
    optim.zero_grad()
    outputs = network(inputs).squeeze(1)
    loss = lossf(outputs, labels)
    loss.backward()
    optim.step()
network.load_state_dict(best_state)
print(f"RESULT accuracy {evaluate():.4f}")
