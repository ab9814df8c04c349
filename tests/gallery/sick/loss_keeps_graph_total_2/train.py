import os

from torch import nn
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


model = Net().double()
loss_function = nn.BCEWithLogitsLoss()
optimiser = torch.optim.Adam(model.parameters(), lr=0.004)


def evaluate():
    model.eval()
    with torch.no_grad():
        pred = model(x_test).squeeze(1)
    return ((pred > 0).long() == y_test.long()).float().mean().item()


for epoch in range(24):
    model.train()
    total = 0.0
    for idx in torch.randperm(n_train).split(64):
        data, target = x_train[idx], y_train[idx]
        optimiser.zero_grad()
        pred = model(data).squeeze(1)
        loss = loss_function(pred, target)
        loss.backward()
        optimiser.step()
        total += loss * len(idx)
    if epoch % 3 == 0:
        print(f"epoch {epoch} loss {total / n_train:.4f}")
print(f"RESULT accuracy {evaluate():.4f}")
