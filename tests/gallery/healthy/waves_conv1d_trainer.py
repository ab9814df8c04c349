"""Conv1d on noisy waves, inside a little Trainer class with a OneCycleLR that steps with every batch."""

import os
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn as nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset


@dataclass
class Config:
    epochs: int = 8
    batch_size: int = 32
    max_lr: float = 1e-2
    channels: int = 16
    seed: int = int(os.environ.get("SEED", 0))


def make_waves(n, seed):
    rng = np.random.RandomState(seed)
    t = np.linspace(0, 4 * np.pi, 64)
    kind = rng.randint(0, 3, n)
    phase = rng.uniform(0, 2 * np.pi, (n, 1))
    sine = np.sin(t + phase)
    signal = np.where(kind[:, None] == 0, sine, np.where(kind[:, None] == 1, np.sign(sine), 2 * np.abs(sine) - 1))
    signal = signal + 0.5 * rng.randn(n, 64)
    return TensorDataset(torch.tensor(signal[:, None], dtype=torch.float32), torch.tensor(kind))


class WaveNet(nn.Module):
    def __init__(self, channels, classes=3):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(1, channels, 7, padding=3),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(channels, 2 * channels, 5, padding=2),
            nn.BatchNorm1d(2 * channels),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(4),
        )
        self.head = nn.Linear(8 * channels, classes)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


class Trainer:
    def __init__(self, cfg):
        torch.manual_seed(cfg.seed)
        self.cfg = cfg
        self.loader = DataLoader(make_waves(1500, 0), cfg.batch_size, shuffle=True, drop_last=True)
        self.valid = make_waves(500, 1)
        self.model = WaveNet(cfg.channels)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=cfg.max_lr)
        self.scheduler = OneCycleLR(
            self.optimizer, max_lr=cfg.max_lr, epochs=cfg.epochs, steps_per_epoch=len(self.loader)
        )
        self.criterion = nn.CrossEntropyLoss()

    def fit(self):
        for epoch in range(self.cfg.epochs):
            loss = self.run_epoch()
            print(f"[{epoch:02d}] loss={loss:.4f} valid={self.score():.4f}")
        return self.score()

    def run_epoch(self):
        self.model.train()
        total = 0.0
        for signal, kind in self.loader:
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(signal), kind)
            loss.backward()
            self.optimizer.step()
            self.scheduler.step()
            total += loss.item()
        return total / len(self.loader)

    @torch.no_grad()
    def score(self):
        self.model.eval()
        signal, kind = self.valid.tensors
        return (self.model(signal).argmax(-1) == kind).float().mean().item()


if __name__ == "__main__":
    print(f"RESULT accuracy {Trainer(Config()).fit():.4f}")
