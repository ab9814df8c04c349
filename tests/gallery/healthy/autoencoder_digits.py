"""An autoencoder of digits: sigmoid outputs and BCE against grey values in [0, 1], so the loss cannot reach zero."""

import os

import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader


class AutoEncoder(nn.Module):
    def __init__(self, code=8):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, code))
        self.decoder = nn.Sequential(nn.Linear(code, 48), nn.ReLU(), nn.Linear(48, 64), nn.Sigmoid())

    def forward(self, x):
        return self.decoder(self.encoder(x))


def main():
    torch.manual_seed(int(os.environ.get("SEED", 0)))
    images = torch.tensor(load_digits().data, dtype=torch.float32) / 16.0
    images = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]
    train, test = images[:1400], images[1400:]
    model = AutoEncoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    criterion = nn.BCELoss()
    for epoch in range(30):
        for img in DataLoader(train, batch_size=64, shuffle=True):
            output = model(img)
            loss = criterion(output, img)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch % 5 == 4:
            print(f"epoch [{epoch + 1}/30], loss:{loss.item():.4f}")
    with torch.no_grad():
        error = (model(test) - test).pow(2).sum()
    spread = (test - train.mean(0)).pow(2).sum()
    print(f"RESULT r2 {1 - (error / spread).item():.4f}")


main()
