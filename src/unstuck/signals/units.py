"""The units of each input: its features' offset, mix of sizes and spread, and numbers that are no measurements.

A network expects features of mean 0 and standard deviation (spread) 1. Each of the three faults is one question here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from unstuck.signals.inputs import Input, Inputs
from unstuck.signals.prepared import scaled
from unstuck.signals.task import main_program
from unstuck.tape.model import Tape
from unstuck.tape.program import Program
from unstuck.tape.site import Site

FAR = 3.0
"""|mean| / spread. At three, a normally distributed feature no longer straddles zero. Pixels in [0, 1] stay below two
(CIFAR: 0.47 / 0.25)."""
MIXED = 30.0
"""Largest size / smallest: curvatures then differ by nearly a thousand. One-hot columns beside standardised ones differ
less: a share of 1 in 100 has a size of 0.1."""
LARGE = 8.0
"""Spread or size of a feature above which it is too large; standardised features, one-hot columns and pixels in [0, 1]
have 1 or less."""
SMALL = 0.05
"""Spread below which it is too small: a one-hot feature that is set in 1 row of 400 has 0.05."""
TINY = 0.02
"""Mixed sizes matter if the largest feature is larger than LARGE or smaller than this: 0.01 beside 1 is a weak feature,
and 1 is the size that the network expects."""
SAME = 10.0
"""Features whose spreads stay within this factor share one unit, as pixels do: one mean and one spread serve."""
FEW = 16
"""In an input with more features, one or two may differ from the rest: the middle half of the spreads and the middle
0.8 of the means are compared. With fewer features each one counts."""
MOST = 64
"""Features above which codes and outliers are not searched and a patch does not list statistics: each is a number in
the person's text."""
OUT, SELDOM = 100.0, 0.03
"""Numbers this many (interquartile) spreads from the median, in at most this share of the rows, are errors: a lost
decimal point, another unit. Of a log-normal feature (sigma 1), one number in 700,000 lies beyond."""
QUANTILES = 10_000
"""Rows from which the interquartile spread is taken: its standard error is then below 2 percent."""
OFTEN, APART, VALUES = 0.003, 8.0, 8
"""A code for a missing value is frequent, far from every other value (in spreads of these; normal ones span 8 in all in
20,000 rows), and the others are no codes themselves: they have more different values than a scale of grades."""


@dataclass(frozen=True)
class InputUnits:
    """One input, and what its features' units are."""

    entry: Input

    @property
    def far(self) -> bool:
        """A feature's mean is far from zero compared with its spread (input-offset)."""
        return (not self.entry.normalised or self.entry.bordered) and self.offset > FAR

    @property
    def mixed(self) -> bool:
        """The features differ in size (feature-scale-mix)."""
        return not (self.entry.normalised or self.one_unit or self.mix <= MIXED or TINY <= self.largest <= LARGE)

    @property
    def scaled(self) -> bool:
        """The features' typical spread is far from one (input-scale)."""
        return not self.entry.normalised and self.spread > 0 and not SMALL <= self.spread <= LARGE

    @property
    def wrong(self) -> bool:
        """Any of the three, in an input that varies."""
        return bool(self.entry.live.any()) and (self.far or self.mixed or self.scaled)

    @cached_property
    def offsets(self) -> Tensor:
        """(features,) |mean| / spread if the mean exceeds 1, else 0; stray constants are given the others' spread."""
        mean, std = self.entry.mean.abs(), self.entry.std
        usual = std[self.entry.live].median() if bool(self.stray.any()) else std.new_ones(())
        ratio = mean / torch.where(self.stray, usual, std).clamp(min=1e-300)
        return torch.where((self.entry.live | self.stray) & (mean > 1.0), ratio, torch.zeros_like(ratio))

    @property
    def offset(self) -> float:
        """The largest |mean| / spread."""
        return float(self.offsets.max())

    @property
    def largest(self) -> float:
        """The size (root mean square) of the largest feature."""
        return float(self.entry.rows.square().mean(0).sqrt().max())

    @cached_property
    def mix(self) -> float:
        """Largest over smallest size among the features that vary."""
        size = self.entry.rows.square().mean(0).sqrt()[self.entry.live]
        return float(size.max() / size.min().clamp(min=1e-300)) if len(size) > 1 else 1.0

    @cached_property
    def spread(self) -> float:
        """The typical spread of a feature that varies; of all numbers if the features share a unit; else 0."""
        live = self.entry.std[self.entry.live]
        if not len(live):
            return 0.0
        return float(self.entry.rows.std(correction=0)) if self.one_unit else float(live.median())

    @cached_property
    def one_unit(self) -> bool:
        """The features look like one quantity: their spreads and means are close to each other."""
        std, mean = self.entry.std[self.entry.live], self.entry.mean[self.entry.live]
        if len(self.entry.mean) == 1:
            return True
        if bool(self.stray.any()):
            return False
        if len(std) < 2:
            return True
        few = len(std) <= FEW
        low, high = _range(std, 0.0 if few else 0.25)
        first, last = _range(mean, 0.0 if few else 0.1)
        return high <= SAME * low and last - first <= SAME * float(std.median())

    @cached_property
    def stray(self) -> Tensor:
        """(features,) constant features far outside the range of the others: a bias in another unit."""
        live = self.entry.live
        if not bool(live.any()):
            return torch.zeros_like(live)
        low, high = self.entry.rows[:, live].aminmax()
        return ~live & ((self.entry.mean < low - (high - low)) | (self.entry.mean > high + (high - low)))

    @cached_property
    def missing(self) -> float | None:
        """A code for missing values: -999, 9999, or 0 if nothing else is near 0.

        It is a whole number, the smallest or largest of a feature, frequent, and far from all others.
        """
        if len(self.entry.mean) > MOST:
            return None
        ends = [(column, end) for column in self.entry.rows.T for end in column.aminmax()]
        found = [value for column, end in ends if (value := _code(column, end)) is not None]
        return max(sorted(set(found)), key=found.count, default=None)

    @cached_property
    def outliers(self) -> Tensor:
        """(rows, features) the few numbers that lie so far out that they can only be errors; no missing values."""
        rows = self.entry.rows
        if len(self.entry.mean) > MOST or len(rows) < 4 * VALUES:
            return torch.zeros_like(rows, dtype=torch.bool)
        low, middle, high = (torch.quantile(rows[:QUANTILES], q, dim=0) for q in (0.25, 0.5, 0.75))
        spread = (high - low) / 1.35
        far = ((rows - middle).abs() > OUT * spread) & (spread > 0)
        far &= far.double().mean(0) <= SELDOM
        return far if self.missing is None else far & (rows != self.missing)

    @cached_property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and spread to standardise by: one for all features that share a unit, else one per feature.

        Missing values and outliers are left out. The spread of a constant feature is given as 1.
        """
        rows = self.entry.rows
        known = ~self.outliers if self.missing is None else ~self.outliers & (rows != self.missing)
        if bool(known.all()) and self.one_unit:
            return (float(rows.mean()),), (float(rows.std(correction=0)) or 1.0,)
        count = known.sum(0).clamp(min=1)
        mean = torch.where(known, rows, 0.0).sum(0) / count
        std = (torch.where(known, rows - mean, 0.0).square().sum(0) / count).sqrt()
        return tuple(mean.tolist()), tuple(torch.where(self.entry.live & (std > 0), std, 1.0).tolist())


@dataclass(frozen=True)
class Units:
    """The units of all inputs of the main program."""

    program: Program
    inputs: tuple[InputUnits, ...]
    scaled_at: Mapping[int, Site | None] = field(default_factory=dict)
    """Per slot the line that made its numbers so large or so small, where it was seen."""

    @classmethod
    def read(cls, tape: Tape) -> Units:
        inputs, number = Inputs.read(tape), main_program(tape)
        made = {one.slot: scaled(tape, number, one.slot) for one in inputs.inputs}
        return cls(inputs.program, tuple(map(InputUnits, inputs.inputs)), made)


def _range(values: Tensor, cut: float) -> tuple[float, float]:
    """Smallest and largest, without this share at either end."""
    low, high = torch.quantile(values, torch.tensor([cut, 1 - cut], dtype=values.dtype)).tolist()
    return low, high


def _code(column: Tensor, value: Tensor) -> float | None:
    there = column == value
    rest = column[~there]
    if int(there.sum()) < OFTEN * len(column) or len(rest) < len(there) / 2 or float(value) != round(float(value)):
        return None
    apart = float((rest - value).abs().min())
    return float(value) if len(rest.unique()) > VALUES and apart > APART * float(rest.std()) else None
