"""A siamese net with a contrastive loss: one shared tower, two branches; pairs judged by their distance."""

import os

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset

digits = load_digits()
IMAGES = torch.tensor(digits.data, dtype=torch.float32) / 8 - 1
LABELS = torch.tensor(digits.target)


class Pairs(Dataset):
    """Half of the pairs show the same digit."""

    def __init__(self, rows, n, seed):
        g = torch.Generator().manual_seed(seed)
        a = rows[torch.randint(len(rows), (4 * n,), generator=g)]
        b = rows[torch.randint(len(rows), (4 * n,), generator=g)]
        same = LABELS[a] == LABELS[b]
        yes, no = same.nonzero()[: n // 4, 0], (~same).nonzero()[: n // 4, 0]
        keep = torch.cat([yes, no])
        self.a, self.b, self.same = a[keep], b[keep], same[keep].float()

    def __len__(self):
        return len(self.same)

    def __getitem__(self, i):
        return IMAGES[self.a[i]], IMAGES[self.b[i]], self.same[i]


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.tower = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 16))

    def forward(self, left, right):
        return F.pairwise_distance(self.tower(left), self.tower(right))


def contrastive(distance, same, margin=2.0):
    return (same * distance.pow(2) + (1 - same) * F.relu(margin - distance).pow(2)).mean()


torch.manual_seed(int(os.environ.get("SEED", 0)))
rows = torch.randperm(len(LABELS), generator=torch.Generator().manual_seed(0))
train, test = Pairs(rows[:1300], 5000, 1), Pairs(rows[1300:], 1600, 2)
net = Siamese()
optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(12):
    net.train()
    for left, right, same in DataLoader(train, batch_size=64, shuffle=True):
        loss = contrastive(net(left, right), same)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch} loss {loss.item():.4f}")
net.eval()
with torch.no_grad():
    left, right, same = next(iter(DataLoader(test, batch_size=len(test))))
    accuracy = ((net(left, right) < 1.0).float() == same).float().mean()
print(f"RESULT accuracy {accuracy:.4f}")
