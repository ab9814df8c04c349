"""The small data sets that the training functions share; each is drawn with a fixed seed."""

from __future__ import annotations

import math

import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from torch import Tensor


def digits() -> tuple[Tensor, Tensor]:
    """(1797, 64) pixels of 0 to 1 and their digit, in random order."""
    found = load_digits()
    order = torch.randperm(len(found.target), generator=torch.Generator().manual_seed(0))
    return torch.tensor(found.data, dtype=torch.float32)[order] / 16, torch.tensor(found.target)[order]


def pictures() -> tuple[Tensor, Tensor]:
    """(1797, 1, 8, 8) pixels of 0 to 1 and their digit."""
    pixels, labels = digits()
    return pixels.reshape(-1, 1, 8, 8), labels


def wines() -> tuple[Tensor, Tensor]:
    """(178, 13) standardised measurements and the cultivar, 0 to 2."""
    found = load_wine()
    order = torch.randperm(len(found.target), generator=torch.Generator().manual_seed(0))
    rows = torch.tensor(found.data, dtype=torch.float32)[order]
    return (rows - rows.mean(0)) / rows.std(0), torch.tensor(found.target)[order]


def tumours() -> tuple[Tensor, Tensor]:
    """(569, 30) measurements in their own units and 1 for benign."""
    found = load_breast_cancer()
    order = torch.randperm(len(found.target), generator=torch.Generator().manual_seed(0))
    return torch.tensor(found.data, dtype=torch.float32)[order], torch.tensor(found.target)[order]


def patients() -> tuple[Tensor, Tensor]:
    """(442, 10) standardised measurements and the standardised progression of diabetes."""
    found = load_diabetes()
    rows = torch.tensor(found.data, dtype=torch.float32)
    progression = torch.tensor(found.target, dtype=torch.float32)
    return rows / rows.std(0), (progression - progression.mean()) / progression.std()


def moons(rows: int = 600) -> tuple[Tensor, Tensor]:
    """(rows, 2) points on two interleaved half circles and the half circle."""
    draw = torch.Generator().manual_seed(0)
    angle, label = torch.rand(rows, generator=draw) * math.pi, torch.arange(rows) % 2
    upper = torch.stack([angle.cos(), angle.sin()], 1)
    points = torch.where(label[:, None] == 0, upper, torch.tensor([1.0, 0.5]) - upper)
    return points + 0.1 * torch.randn(rows, 2, generator=draw), label


def waves(rows: int = 512, length: int = 24) -> tuple[Tensor, Tensor]:
    """(rows, length, 1) noisy sines of three frequencies and the frequency's number."""
    draw = torch.Generator().manual_seed(0)
    label = torch.randint(3, (rows,), generator=draw)
    phase = torch.rand(rows, 1, generator=draw) * 2 * math.pi
    inner = torch.arange(length) * (0.3 + 0.3 * label[:, None]) + phase
    return (inner.sin() + 0.2 * torch.randn(rows, length, generator=draw)).unsqueeze(-1), label


def sentences(rows: int = 800, length: int = 12, words: int = 50) -> tuple[Tensor, Tensor]:
    """(rows, length) numbers of words, and whether more of them are from the first half of the vocabulary."""
    draw = torch.Generator().manual_seed(0)
    label = torch.arange(rows) % 2
    share = torch.where(label == 1, 0.75, 0.25)[:, None]
    low = torch.rand(rows, length, generator=draw) < share
    return torch.randint(words // 2, (rows, length), generator=draw) + torch.where(low, 0, words // 2), label


def text(length: int = 6000) -> Tensor:
    """(length,) letters 0 to 7 in which the next one depends on the last two."""
    draw = torch.Generator().manual_seed(0)
    made, chance = [0, 1], torch.rand(length, generator=draw).tolist()
    for step in range(2, length):
        after = (3 * made[-1] + 5 * made[-2] + 1) % 8
        made.append(after if chance[step] < 0.9 else int(chance[step] * 1000) % 8)
    return torch.tensor(made)
