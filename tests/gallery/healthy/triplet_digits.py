"""Triplet loss on digits: many triplets are satisfied and give no gradient; judged by nearest neighbours."""

import os

import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
X, y = load_digits(return_X_y=True)
X, y = torch.tensor(X).float() / 16, torch.tensor(y)
mix = torch.randperm(len(y), generator=torch.Generator().manual_seed(2))
X, y = X[mix], y[mix]
n_train = 1000
by_class = [(y[:n_train] == c).nonzero()[:, 0] for c in range(10)]

embed = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
criterion = nn.TripletMarginLoss(margin=1.0)
optimizer = torch.optim.Adam(embed.parameters(), lr=2e-3)


def pick(classes):
    return torch.stack([by_class[c][torch.randint(len(by_class[c]), (1,))[0]] for c in classes.tolist()])


for step in range(400):
    positive = torch.randint(10, (64,))
    negative = (positive + torch.randint(1, 10, (64,))) % 10
    a, p, n = (X[pick(c)] for c in (positive, positive, negative))
    loss = criterion(embed(a), embed(p), embed(n))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print("step", step, "triplet loss", round(loss.item(), 4))

with torch.no_grad():
    z = embed(X).numpy()
knn = KNeighborsClassifier(5).fit(z[:n_train], y[:n_train])
print("RESULT accuracy %.4f" % knn.score(z[n_train:], y[n_train:]))
