"""Data augmentation inside the Dataset (shift, flip, noise), for training only; the test pictures stay as they are."""

import os

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset


def picture(kind, g):
    """10x10: a horizontal stroke, a vertical stroke, or a corner."""
    img = torch.zeros(10, 10)
    r, c = torch.randint(3, 7, (2,), generator=g).tolist()
    if kind in (0, 2):
        img[r, 2:8] = 1
    if kind in (1, 2):
        img[2:8, c] = 1
    return img


class Strokes(Dataset):
    def __init__(self, n, seed, augment=False):
        g = torch.Generator().manual_seed(seed)
        self.labels = torch.randint(0, 3, (n,), generator=g)
        self.images = torch.stack([picture(k, g) for k in self.labels.tolist()])
        self.images += 0.3 * torch.randn(self.images.shape, generator=g)
        self.augment = augment

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        img = self.images[i]
        if self.augment:
            img = img.roll(tuple(torch.randint(-1, 2, (2,)).tolist()), (0, 1))
            img = img.flip(1) if torch.rand(1) < 0.5 else img
            img = img + 0.1 * torch.randn_like(img)
        return img[None], self.labels[i]


torch.manual_seed(int(os.environ.get("SEED", 0)))
train, test = Strokes(900, 0, augment=True), Strokes(400, 1)
net = nn.Sequential(
    nn.Conv2d(1, 12, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(12, 24, 3, padding=1),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(24 * 25, 3),
)
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(8):
    net.train()
    for img, label in DataLoader(train, 32, shuffle=True):
        loss = nn.functional.cross_entropy(net(img), label)
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(f"epoch {epoch}, loss {loss.item():.3f}")
net.eval()
with torch.no_grad():
    hits = sum((net(img).argmax(1) == label).sum().item() for img, label in DataLoader(test, 100))
print(f"RESULT accuracy {hits / len(test):.4f}")
