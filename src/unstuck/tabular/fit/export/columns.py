"""The preparation of columns as torch modules, in float64: what `calendar`, `numeric`, `categories` and `effects` do in
numpy, operation by operation, so that both round alike. Needs torch."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from unstuck.tabular.fit.categories import Words
from unstuck.tabular.fit.effects import Effects
from unstuck.tabular.fit.encoder import BRIEF, Encoder
from unstuck.tabular.fit.export.contents import Contents
from unstuck.tabular.fit.grid import SHIFT
from unstuck.tabular.fit.numeric import BINS, FAR, GRID, KNEE, Numeric, normal_scores
from unstuck.tabular.fit.quantiles import PARTS

OTHER = "\x00"
"""Stands for every word without a code; no cell of a table holds it."""


class Calendar(nn.Module):
    """Numeric inputs with the parts of dates after each date, as `unstuck.tabular.fit.calendar.parts` gives them."""

    def __init__(self, dates: tuple[bool, ...]) -> None:
        super().__init__()
        self.dates = dates

    def forward(self, numbers: Tensor) -> Tensor:
        """(n, inputs) to (n, columns of a frame)."""
        if not any(self.dates):
            return numbers
        columns = [numbers[:, j : j + 1] for j in range(len(self.dates))]
        pairs = zip(columns, self.dates, strict=True)
        return torch.cat([torch.cat([one, _parts(one)], 1) if date else one for one, date in pairs], 1)


def _parts(days: Tensor) -> Tensor:
    """(n, 1) days since 1970 to (n, 6)."""
    known = days.abs() < math.inf
    days = torch.where(known, days, torch.zeros_like(days))
    whole = torch.floor(days)
    turned = whole + 3  # 1970-01-01 was a Thursday
    weekday = (turned - 7 * torch.floor(turned / 7)) / 7
    angles = 2 * math.pi * torch.cat([_month(whole) / 12, weekday, days - whole], 1)
    turns = torch.stack([torch.sin(angles), torch.cos(angles)], 2).flatten(1)
    return torch.where(known, torch.round(turns * 1e9) / 1e9, torch.zeros_like(turns))


def _month(whole: Tensor) -> Tensor:
    """The month of each day, 0 to 11 (H. Hinnant, chrono-compatible low-level date algorithms, civil_from_days)."""
    day = whole.clamp(-700_000, 2_900_000).to(torch.int64) + 719_468
    day = day - _divided(day, 146_097) * 146_097
    leap = _divided(day, 1460) - _divided(day, 36_524) + _divided(day, 146_096)
    year = _divided(day - leap, 365)
    day = day - (365 * year + _divided(year, 4) - _divided(year, 100))
    month = _divided(5 * day + 2, 153)
    return torch.where(month < 10, month + 2, month - 10).to(torch.float64)


def _divided(whole: Tensor, by: int) -> Tensor:
    return torch.div(whole, by, rounding_mode="floor")


class Numbers(nn.Module):
    """Numeric columns in the views of a stage."""

    centre: Tensor
    scale: Tensor
    sign: Tensor
    gaps: Tensor
    at: Tensor

    def __init__(self, numeric: Numeric) -> None:
        super().__init__()
        self.kept = numeric.kept.tolist()
        for name in ("centre", "scale", "sign"):
            self.register_buffer(name, _wide(getattr(numeric, name)))
        self.register_buffer("gaps", torch.from_numpy(np.flatnonzero(numeric.gaps)))
        self.register_buffer("at", torch.from_numpy(numeric.kept.astype(np.int64)))
        self.ranks = _Ranks(numeric.knots) if numeric.knots.size else None
        self.steps = _Steps(numeric.knots) if numeric.knots.size else None

    def standard(self, x: Tensor) -> Tensor:
        """The standardised values on the grid, (n, kept); NaN where missing."""
        z = (x[:, self.at] - self.centre) / self.scale * self.sign
        there = z.abs() < math.inf
        z = torch.where(there, z, torch.zeros_like(z))
        z = (torch.round(z / GRID + SHIFT) * GRID).clamp(-FAR, FAR)
        return torch.where(there, z, torch.full_like(z, math.nan))

    def forward(self, z: Tensor, views: tuple[str, ...]) -> list[Tensor]:
        """The inputs of a network, from standardised values."""
        if views == BRIEF:
            return [z]
        holes = torch.isnan(z)
        z = torch.where(holes, torch.zeros_like(z), z)
        parts = [self._view(z, view) for view in views]
        return [*parts, holes[:, self.gaps].to(z.dtype)] if len(self.gaps) else parts

    def _view(self, z: Tensor, view: str) -> Tensor:
        if view == "straight":
            return z
        if view == "smooth":
            return z / torch.sqrt(1 + torch.square(z / KNEE))
        own = self.ranks if view == "normal" else self.steps
        return z if own is None else own(z)


class _Steps(nn.Module):
    """One input for each eighth of the rows, as by `numeric`."""

    column: Tensor
    low: Tensor
    width: Tensor

    def __init__(self, knots: np.ndarray) -> None:
        super().__init__()
        edges = knots[:, :: PARTS // BINS]
        some = np.flatnonzero(np.diff(edges, axis=1).ravel() > 0)
        self.register_buffer("column", torch.from_numpy(some // BINS))
        self.register_buffer("low", _wide(edges[:, :-1].ravel()[some]))
        self.register_buffer("width", _wide(np.diff(edges, axis=1).ravel()[some]))

    def forward(self, z: Tensor) -> Tensor:
        """(n, kept) to (n, steps)."""
        return ((z[:, self.column] - self.low) / self.width).clamp(0.0, 1.0) - 0.5


class _Ranks(nn.Module):
    """The normal scores of ranks, interpolated between the distinct quantiles of each column as by `np.interp`."""

    at: Tensor
    left: Tensor
    height: Tensor
    slope: Tensor
    first: Tensor

    def __init__(self, knots: np.ndarray) -> None:
        super().__init__()
        at, height = np.full((2, len(knots), knots.shape[1] + 1), np.inf)
        slope = np.zeros((len(knots), knots.shape[1] + 1))
        for j, own in enumerate(knots):
            x, y = normal_scores(own)
            at[j, : len(x)], height[j, : len(x)] = x, y
            height[j, len(x) :] = y[-1]
            slope[j, : len(x) - 1] = np.diff(y) / np.diff(x)
        self.size = at.shape[1]
        self.register_buffer("at", _wide(at))
        flat = {"left": np.where(np.isfinite(at), at, 0.0), "height": height, "slope": slope}
        for name, values in flat.items():
            self.register_buffer(name, _wide(values.ravel()))
        self.register_buffer("first", torch.arange(len(knots)) * self.size)

    def forward(self, z: Tensor) -> Tensor:
        """(n, kept) to (n, kept)."""
        z = torch.maximum(z, self.at[:, 0])
        index = (z[:, :, None] >= self.at).sum(2) - 1 + self.first
        return self.height[index] + self.slope[index] * (z - self.left[index])


class Categories(nn.Module):
    """Codes of words to the inputs of `Words` and `Effects`: a table each, whose rows are a missing word, the words in
    the order of their codes, and any other word."""

    def __init__(self, encoder: Encoder, contents: Contents) -> None:
        super().__init__()
        effects = encoder.effects or (None,) * len(encoder.words)
        own = zip(encoder.words, effects, contents.categories, strict=True)
        self.words, self.means = nn.ModuleList(), nn.ModuleDict()
        for j, (words, effect, category) in enumerate(own):
            self.words.append(_Table(words, words.words))
            if effect is not None:
                self.means[str(j)] = _Table(effect, category.words)

    def forward(self, codes: Tensor) -> list[Tensor]:
        """(n, categories) to the inputs of all columns."""
        words = [table(codes[:, j]) for j, table in enumerate(self.words)]
        return [*words, *(table(codes[:, int(j)]) for j, table in self.means.items())]


class _Table(nn.Module):
    rows: Tensor

    def __init__(self, encoded: Words | Effects, words: tuple[str, ...]) -> None:
        super().__init__()
        self.most = len(words)
        self.register_buffer("rows", _wide(encoded.encode([None, *words, OTHER])))

    def forward(self, codes: Tensor) -> Tensor:
        return self.rows[codes.clamp(-1, self.most) + 1]


def _wide(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values, np.float64))
