"""The same row, seen again: whether its values are the same at each visit, or drift from visit to visit.

A row is known again by its form: scaled and shifted as a whole, it still correlates perfectly with what it was. Random
augmentation moves rows to and fro; what changes the stored data moves every row by the same map at every visit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.task import main_program
from unstuck.tape.model import Tape

NUMBERS = 8_000_000
"""Of all rows together (32 MB)."""
ANCHORS = 256
"""Rows that are followed."""
FEWEST = 8
"""Numbers in a row: fewer correlate by chance. And rows that must be seen again."""
SAME, OTHER = 0.9995, 0.99
"""Correlation with the same row's earlier form, from here on; and with the next most similar row, at most."""
STEP = 0.05
"""Change per visit, relative to the row's spread: far above the rounding of float32 and of half precision."""
EVEN = 0.1
"""Spread of that change over rows and visits, relative to it: one map, not a draw for each visit."""


@dataclass(frozen=True)
class Revisits:
    """How rows changed between visits."""

    rows: int
    """Rows that came back."""
    visits: int
    """How often the one that came most often did."""
    factor: float
    """By which a row's spread is multiplied per visit (1 where it stays)."""
    shift: float
    """By which a row's mean moves per visit, in spreads (0 where it stays, or where the spread changes)."""

    @property
    def drifts(self) -> bool:
        """Whether stored rows change with every visit."""
        return self.factor != 1.0 or self.shift != 0.0

    @classmethod
    def read(cls, tape: Tape) -> Revisits:
        """NotApplicable if no row of the main program's input comes back."""
        rows = _rows(tape)
        form, mean, spread = _form(rows)
        live = torch.isfinite(form).all(1) & (spread > 0)
        anchors = torch.nonzero(live).flatten()[:ANCHORS]
        visits = _visits(form, live, anchors)
        met = [v for v in visits if len(v) > 1]
        if len(met) < FEWEST:
            raise NotApplicable("no input row comes back that could be compared with itself")
        grown = torch.cat([spread[v].log().diff() for v in met])
        moved = torch.cat([mean[v].diff() for v in met]) / float(spread[live].median())
        factor, shift = _steady(grown), _steady(moved)
        return cls(len(met), max(map(len, met)), math.exp(factor), 0.0 if factor else shift)


def _rows(tape: Tape) -> Tensor:
    """(rows, numbers) of the largest real-valued input, in the order in which they were trained on."""
    number = main_program(tape)
    passes = [p for p in tape.passes if p.program == number]
    first = [(n, tape.tensors[k]) for n, k in enumerate(passes[0].outside)]
    real = [(n, t) for n, t in first if t.is_floating_point() and t.dim() >= 2 and t[0].numel() >= FEWEST]
    if not real:
        raise NotApplicable("the recorded main step takes no real-valued rows")
    slot, shape = max(((n, t.shape[1:]) for n, t in real), key=lambda pair: pair[1].numel())
    kept, left = [], NUMBERS
    for p in passes:
        batch = tape.tensors[p.outside[slot]]
        if batch.shape[1:] == shape and left > 0:
            kept.append(batch.reshape(len(batch), -1).float())
            left -= batch.numel()
    return torch.cat(kept)


def _form(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows without their mean and size; their means and spreads."""
    mean, spread = rows.mean(1), rows.std(1, correction=0)
    centred = rows - mean[:, None]
    return centred / centred.norm(dim=1, keepdim=True).clamp(min=1e-30), mean.double(), spread.double()


def _visits(form: Tensor, live: Tensor, anchors: Tensor) -> list[Tensor]:
    """Of each anchor that can be told from the others: where it stands among the rows, in order."""
    likeness = torch.nan_to_num(form @ form[anchors].T)
    among = likeness[anchors]
    unsure = ((among > OTHER) & (among <= SAME)).any(1)
    known = (among.tril(-1) > OTHER).any(1)
    first = torch.nonzero(~unsure & ~known).flatten().tolist()
    return [torch.nonzero((likeness[:, n] > SAME) & live).flatten() for n in first]


def _steady(changes: Tensor) -> float:
    """The change that all have in common; 0 where there is none worth naming."""
    common = float(changes.median())
    away = float((changes - common).abs().quantile(0.9)) if changes.numel() < 1_000_000 else math.inf
    return common if abs(common) >= STEP and away <= EVEN * abs(common) else 0.0
