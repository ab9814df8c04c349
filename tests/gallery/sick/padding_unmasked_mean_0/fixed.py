import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# sentences of 5 to 14 words (0 is padding); the mood is in some of the words
rng = np.random.default_rng(53)
mood = rng.normal(size=60)
x = np.zeros((1600, 250), dtype=int)
for row in x:
    length = rng.integers(5, 15)
    row[:length] = rng.integers(1, 60, length)
score = np.where(x > 0, mood[x], 0).sum(1) / (x > 0).sum(1)
y = (score > np.median(score)).astype(int)
n_train = 1200
x = torch.tensor(x, dtype=torch.long)
y = torch.tensor(y, dtype=torch.float64)
x_train, y_train, x_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
torch.manual_seed(SEED)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb1 = nn.Embedding(60, 16, padding_idx=0)
        self.fc1 = nn.Linear(16, 16)
        self.fc2 = nn.Linear(16, 1)

    def forward(self, x):
        h = self.emb1(x)
        mask = (x > 0).unsqueeze(-1).to(h.dtype)
        h = (h * mask).sum(1) / mask.sum(1)
        h = self.fc1(h)
        h = torch.tanh(h)
        h = self.fc2(h)
        return h


network = Net().double()
lossf = nn.BCEWithLogitsLoss()
optim = torch.optim.Adam(network.parameters(), lr=0.004)


def evaluate():
    network.eval()
    with torch.no_grad():
        outputs = network(x_test).squeeze(1)
    return ((outputs > 0).long() == y_test.long()).float().mean().item()


loader = DataLoader(TensorDataset(x_train, y_train), batch_size=64, shuffle=True)


def train(epoch):
    network.train()
    total = 0.0
    for inputs, labels in loader:
        optim.zero_grad()
        outputs = network(inputs).squeeze(1)
        loss = lossf(outputs, labels)
        loss.backward()
        optim.step()
        total += loss.item()
    return total / len(loader)


for epoch in range(24):
    loss_value = train(epoch)
    if (epoch + 1) % 3 == 0:
        print(f"[{epoch + 1}] loss {loss_value:.5f}")
print(f"RESULT accuracy {evaluate():.4f}")
