"""A DataLoader with two worker processes, a Dataset that makes its items on the fly and a main guard."""

import os

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Blobs(Dataset):
    """A bright blob on a 12x12 field: in which quarter is it?"""

    def __init__(self, size, offset=0):
        self.size, self.offset = size, offset

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        rng = np.random.default_rng(self.offset + index)
        row, col = rng.uniform(1, 11, 2)
        yy, xx = np.mgrid[:12, :12]
        field = 2 * np.exp(-((yy - row) ** 2 + (xx - col) ** 2) / 4) + 0.4 * rng.standard_normal((12, 12))
        return field.astype("float32")[None], int(row > 6) * 2 + int(col > 6)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 12, 5, stride=2)
        self.fc = nn.Linear(12 * 16, 4)

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).flatten(1))


def main():
    torch.manual_seed(int(os.environ.get("SEED", 0)))
    train = DataLoader(Blobs(1600), batch_size=32, shuffle=True, num_workers=2, persistent_workers=True)
    test = DataLoader(Blobs(400, 10_000), batch_size=100)
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for epoch in range(6):
        net.train()
        for field, quarter in train:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(field), quarter)
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")
    net.eval()
    with torch.no_grad():
        hits = sum((net(field).argmax(1) == quarter).sum().item() for field, quarter in test)
    print(f"RESULT accuracy {hits / 400:.4f}")


if __name__ == "__main__":
    main()
