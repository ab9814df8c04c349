import os

from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))

# sentences of 5 to 14 words (0 is padding); the mood is in some of the words
rng = np.random.default_rng(53)
mood = rng.normal(size=60)
x = np.zeros((1600, 14), dtype=int)
for row in x:
    length = rng.integers(5, 15)
    row[:length] = rng.integers(1, 60, length)
score = np.where(x > 0, mood[x], 0).sum(1) / (x > 0).sum(1)
y = (score > np.median(score)).astype(int)
n_train = 1200
x = torch.tensor(x, dtype=torch.long)
y = torch.tensor(y, dtype=torch.float64)
X_train, y_train, X_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
torch.manual_seed(SEED)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb1 = nn.Embedding(60, 32, padding_idx=0)
        self.fc1 = nn.Linear(32, 32)
        self.fc2 = nn.Linear(32, 1)

    def forward(self, x):
        h = self.emb1(x)
        mask = (x > 0).unsqueeze(-1).to(h.dtype)
        h = (h * mask).sum(1) / mask.sum(1)
        h = self.fc1(h)
        h = torch.tanh(h)
        h = self.fc2(h)
        return h


net = Net().double()
loss_fn = nn.BCEWithLogitsLoss()
opt = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)


def evaluate():
    net.eval()
    with torch.no_grad():
        output = net(X_test).squeeze(1)
    return ((output > 0).long() == y_test.long()).float().mean().item()


loader = DataLoader(TensorDataset(X_train, y_train), batch_size=512, shuffle=True)


def train(epoch):
    net.train()
    total = 0.0
    for xb, yb in loader:
        opt.zero_grad()
        output = net(xb).squeeze(1)
        loss = loss_fn(output, yb)
        loss.backward()
        opt.step()
        total += loss.item()
    return total / len(loader)


for epoch in range(90):
    loss_value = train(epoch)
    if (epoch + 1) % 11 == 0:
        print(f"[{epoch + 1}] loss {loss_value:.5f}")
print(f"RESULT accuracy {evaluate():.4f}")
