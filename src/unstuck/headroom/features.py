"""Simple features of a row: numbers as they are, summaries of pictures and sequences, indices as columns or counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from unstuck.headroom.rows import SINGLE, Part

SIDE = 12
"""Pixels of a picture's side that are kept: digits and textures stay readable."""
CELLS, ANGLES = 4, 8
"""Histograms of gradient directions on 4 x 4 cells, 8 directions each (Dalal and Triggs 2005, coarser)."""
WIDEST = 1_024
"""Features of one part; beyond that they are projected at random, which keeps distances."""
KINDS = 1_024
"""Counted tokens, and pairs of tokens; larger vocabularies are folded to as many."""


@dataclass(frozen=True)
class Table:
    """(rows, columns) of numbers, and (rows, columns) of indices that name things (people, films, words)."""

    numbers: Tensor
    names: Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    def of(self, rows: Tensor) -> Table:
        """Some of the rows."""
        return Table(self.numbers[rows], self.names[rows])


def table(parts: tuple[Part, ...]) -> Table:
    """The features of all parts of some rows, side by side."""
    rows = len(parts[0].values)
    numbers = [_numbers(part) for part in parts]
    names = [
        part.values.reshape(len(part.values), -1).long()
        for part in parts
        if part.looked_up and part.values[0].numel() <= SINGLE
    ]
    return Table(torch.cat(numbers, 1), torch.cat([torch.zeros(rows, 0, dtype=torch.long), *names], 1))


def _numbers(part: Part) -> Tensor:
    """(rows, columns) in float32."""
    values = part.values
    if part.looked_up:
        return values.new_zeros(len(values), 0) if values[0].numel() <= SINGLE else _tokens(values.flatten(1).long())
    values = values.float()
    if values.dim() == 4 and values.shape[1] <= 4 < min(values.shape[2:]):
        return _picture(values)
    if values.dim() == 4 and values.shape[3] <= 4 < min(values.shape[1:3]):
        return _picture(values.movedim(3, 1))
    if values.dim() == 3 and min(values.shape[1:]) > SIDE and values.shape[1] == values.shape[2]:
        return _picture(values.unsqueeze(1))
    if values.dim() == 3:
        return _sequence(values)
    return _narrowed(values.reshape(len(values), -1))


def _narrowed(x: Tensor) -> Tensor:
    if x.shape[1] <= WIDEST:
        return x
    draw = torch.randn(x.shape[1], WIDEST // 4, generator=torch.Generator().manual_seed(0))
    return x @ (draw / x.shape[1] ** 0.5)


def _picture(x: Tensor) -> Tensor:
    """(rows, channels, height, width): small copies, means and spreads of channels, histograms of directions."""
    small = functional.adaptive_avg_pool2d(x, SIDE) if min(x.shape[2:]) > SIDE else x
    means = torch.cat([x.mean((2, 3)), x.std((2, 3)), x.amax((2, 3)), x.amin((2, 3))], 1)
    return torch.cat([_narrowed(small.flatten(1)), means, _directions(x.mean(1))], 1)


def _directions(x: Tensor) -> Tensor:
    """(rows, CELLS * CELLS * ANGLES) strength of edges in each direction, by cell; each picture's sum is 1."""
    across, down = x[:, 1:-1, 2:] - x[:, 1:-1, :-2], x[:, 2:, 1:-1] - x[:, :-2, 1:-1]
    strength, angle = torch.hypot(across, down), torch.atan2(down, across)
    place = ((angle / torch.pi + 1) / 2 * ANGLES).long().clamp(0, ANGLES - 1)
    layers = torch.stack([strength * (place == n) for n in range(ANGLES)], 1)
    cells = functional.adaptive_avg_pool2d(layers, CELLS).flatten(1)
    return cells / cells.sum(1, keepdim=True).clamp(min=1e-9)


def _sequence(x: Tensor) -> Tensor:
    """(rows, A, B), either axis being time: the numbers themselves, and summaries along the longer axis."""
    if x.shape[2] > x.shape[1]:
        x = x.movedim(1, 2)  # (rows, time, channels)
    steps = x[:, 1:] - x[:, :-1] if x.shape[1] > 1 else torch.zeros_like(x)
    waves = torch.fft.rfft(x, dim=1).abs()[:, 1:33] / x.shape[1] ** 0.5
    parts = [x.mean(1), x.std(1, correction=0), x.amax(1), x.amin(1), x[:, -1], x[:, 0], steps.abs().mean(1)]
    return torch.cat([_narrowed(x.flatten(1)), *parts, _narrowed(waves.flatten(1))], 1)


def _tokens(x: Tensor) -> Tensor:
    """(rows, columns) how often each token and each pair of neighbours occurs, and the first and last tokens."""
    kinds = min(KINDS, 1 + int(x.max()))
    pairs = min(KINDS, kinds * kinds)
    one, two = x % kinds, (x[:, :-1] * kinds + x[:, 1:]) % pairs
    edges = [functional.one_hot(x[:, at] % kinds, kinds).float() for at in (0, -1)] if kinds <= WIDEST // 4 else []
    return torch.cat([_counts(one, kinds), _counts(two, pairs), *edges], 1)


def _counts(x: Tensor, kinds: int) -> Tensor:
    return torch.zeros(len(x), kinds).scatter_add_(1, x, torch.ones(x.shape))
