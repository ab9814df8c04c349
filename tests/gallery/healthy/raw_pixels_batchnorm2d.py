"""Raw 0..255 pixels are fed straight in, and rightly so: the first layer is a BatchNorm2d."""

import os

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset


class Shapes(Dataset):
    """16x16 grey pictures, 0..255: a bar (0), a cross (1), a box (2) or a diagonal (3)."""

    def __init__(self, n, seed):
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, 4, n)
        self.pixels = np.stack([self.draw(k, rng) for k in self.labels]).astype(np.uint8)

    @staticmethod
    def draw(kind, rng):
        img = rng.normal(60, 25, (16, 16))
        r, c, ink = rng.integers(3, 12), rng.integers(3, 12), rng.uniform(110, 180)
        if kind in (0, 1):
            img[r, 2:14] += ink
        if kind == 1:
            img[2:14, c] += ink
        if kind == 2:
            img[r - 3, c - 3 : c + 4] += ink
            img[r + 3, c - 3 : c + 4] += ink
            img[r - 3 : r + 4, c - 3] += ink
            img[r - 3 : r + 4, c + 3] += ink
        if kind == 3:
            i = np.arange(2, 14)
            img[i, i] += ink
        return img.clip(0, 255)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return torch.from_numpy(self.pixels[i]).float().unsqueeze(0), int(self.labels[i])


def build():
    return nn.Sequential(
        nn.BatchNorm2d(1),
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.AdaptiveMaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 4),
    )


def main():
    torch.manual_seed(int(os.environ.get("SEED", 0)))
    train = DataLoader(Shapes(1600, 0), batch_size=32, shuffle=True)
    valid = DataLoader(Shapes(400, 1), batch_size=100)
    model = build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for epoch in range(5):
        model.train()
        for x, y in train:
            optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            right = sum((model(x).argmax(1) == y).sum().item() for x, y in valid)
        print(f"epoch {epoch} last loss {loss.item():.3f} valid {right / 400:.3f}")
    print(f"RESULT accuracy {right / 400:.4f}")


if __name__ == "__main__":
    main()
