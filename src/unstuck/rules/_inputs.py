"""What the rules about input units share: the statistics a remedy carries, and which of the three illnesses it is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unstuck.diagnosis.model import Evidence, Remedy
from unstuck.remedies.batchnorm_inputs import BatchnormInputs
from unstuck.remedies.standardise_all import StandardiseAll
from unstuck.remedies.standardise_inputs import StandardiseInputs
from unstuck.signals.inputs import Input, Inputs

ALIKE = 10.0
"""Features whose spreads stay within this factor share one unit, as pixels do: one mean and one spread serve."""
OUT, SELDOM, CUT = 100.0, 0.03, 10.0
"""Numbers so many (central) spreads from the median, in at most this share of the rows, are slips; what is standardised
is cut off at CUT, which hardly anything else reaches."""
QUANTILES = 10_000
"""Rows that the central spread is taken of."""
OFTEN, APART, FEW = 0.003, 8.0, 8
"""A number for what was not measured stands in more of the rows than this, lies so many spreads of the others from the
nearest of them, and these are so many different ones at least."""
LISTED = 64
"""Statistics of more features than this are not written out in a patch."""


def remedies(entrance: Inputs, entry: Input) -> tuple[Remedy, ...]:
    """Standardise with the recorded statistics; for wide tables of mixed units, by an affine-free batch norm.

    Where other inputs need it too, all of them at once comes first: one alone would leave the network as sick.
    """
    found: list[Remedy] = []
    parts = [made for one in entrance.inputs if one is entry or ill(one) if (made := _standardised(entrance, one))]
    if len(parts) > 1:
        found.append(StandardiseAll(tuple(parts)))
    if alone := _standardised(entrance, entry):
        found.append(alone)
    dimensions = {(-1, 2): 1, (-2, 3): 1, (-3, 4): 2}.get((entry.axis, len(entry.shape)))
    if dimensions:
        found.append(BatchnormInputs.of(entrance.program, entry.slot, len(entry.mean), dimensions))
    return tuple(found)


def ill(entry: Input) -> bool:
    """Whether an input is far from what weights expect, in one of the three ways."""
    return not entry.normalised and bool(entry.live.any()) and max(past(entry).values()) > 0


def _standardised(entrance: Inputs, entry: Input) -> StandardiseInputs | None:
    gap, far = sentinel(entry), wild(entry)
    if gap is not None:
        far &= entry.rows != gap
    clip = CUT if bool(far.any()) else None
    mean, std = statistics(entry) if gap is None and clip is None else measured(entry, gap, far)
    if len(mean) > LISTED:
        return None
    return StandardiseInputs.of(entrance.program, entry.slot, mean, std, entry.axis, gap, clip)


def statistics(entry: Input) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """One mean and spread for all features where they share a unit, else one per feature (1 where it is constant)."""
    if homogeneous(entry):
        return (float(entry.rows.mean()),), (float(entry.rows.std(correction=0)) or 1.0,)
    std = torch.where(entry.live, entry.std, torch.ones_like(entry.std))
    return tuple(entry.mean.tolist()), tuple(std.tolist())


def measured(entry: Input, gap: float | None, far: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and spread per feature of what is neither the gap's number nor far out (0 and 1 where nothing is left)."""
    known = ~far if gap is None else ~far & (entry.rows != gap)
    count = known.sum(0).clamp(min=1)
    mean = torch.where(known, entry.rows, 0.0).sum(0) / count
    std = (torch.where(known, entry.rows - mean, 0.0).square().sum(0) / count).sqrt()
    return tuple(mean.tolist()), tuple(torch.where(std > 0, std, torch.ones_like(std)).tolist())


def sentinel(entry: Input) -> float | None:
    """A number that stands for what was not measured: -999, 9999, or 0 where nothing is near 0.

    It is whole, the least or the greatest of a feature, stands there often, and lies far from all others.
    """
    if len(entry.mean) > LISTED:
        return None
    ends = [(column, end) for column in entry.rows.T for end in column.aminmax()]
    found = [value for column, end in ends if (value := _gap(column, end)) is not None]
    return max(sorted(set(found)), key=found.count, default=None)


def gaps(entry: Input) -> tuple[Evidence, ...]:
    """What is seen of numbers that stand for what was not measured, or were written down wrongly."""
    value, far = sentinel(entry), wild(entry)
    found = []
    if value is not None:
        share = float((entry.rows == value).double().mean(0).max())
        found.append(
            Evidence(f"rows in which a feature is {value:g}, far from all others", f"{share:.1%}", "0: not a size")
        )
        far &= entry.rows != value
    if bool(far.any()):
        share = float(far.double().mean(0).max())
        found.append(Evidence(f"rows in which a feature is {OUT:g} spreads away or more", f"{share:.1%}", "0: slips"))
    return tuple(found)


def wild(entry: Input) -> Tensor:
    """(rows, features) Which few numbers lie so far out that they can only be slips: a lost point, another unit."""
    rows = entry.rows
    if len(entry.mean) > LISTED or len(rows) < 4 * FEW:
        return torch.zeros_like(rows, dtype=torch.bool)
    low, middle, high = (torch.quantile(rows[:QUANTILES], q, dim=0) for q in (0.25, 0.5, 0.75))
    spread = (high - low) / 1.35
    far = ((rows - middle).abs() > OUT * spread) & (spread > 0)
    return far & (far.double().mean(0) <= SELDOM)


def _gap(column: Tensor, value: Tensor) -> float | None:
    there = column == value
    rest = column[~there]
    if int(there.sum()) < OFTEN * len(column) or len(rest) < len(there) / 2 or float(value) != round(float(value)):
        return None
    apart = float((rest - value).abs().min())
    return float(value) if len(rest.unique()) > FEW and apart > APART * float(rest.std()) else None


def homogeneous(entry: Input) -> bool:
    """Whether the features look like one quantity: spreads and means close to each other over the middle half."""
    if len(entry.mean) == 1:
        return True
    std, mean = entry.std[entry.live], entry.mean[entry.live]
    if bool(stray(entry).any()):
        return False
    if len(std) < 2:
        return True
    low, high = torch.quantile(std, torch.tensor([0.25, 0.75], dtype=std.dtype)).tolist()
    if len(std) <= 16:
        low, high = float(std.min()), float(std.max())
    shift = float(mean.max() - mean.min()) if len(std) <= 16 else float(mean.quantile(0.9) - mean.quantile(0.1))
    return high <= ALIKE * low and shift <= 10 * float(entry.rows.std(correction=0))


def stray(entry: Input) -> Tensor:
    """(features,) Which constant features lie far outside of what the others hold: a bias the size of another unit."""
    if not bool(entry.live.any()):
        return torch.zeros_like(entry.live)
    low, high = entry.rows[:, entry.live].aminmax()
    return ~entry.live & ((entry.mean < low - (high - low)) | (entry.mean > high + (high - low)))


def offsets(entry: Input) -> Tensor:
    """(features,) |mean| / spread where the mean is large itself, else 0; stray constants have the others' spread."""
    away = stray(entry)
    usual = entry.std[entry.live].median() if bool(away.any()) else entry.std.new_ones(())
    ratio = entry.mean.abs() / torch.where(away, usual, entry.std).clamp(min=1e-300)
    return torch.where((entry.live | away) & (entry.mean.abs() > 1.0), ratio, torch.zeros_like(ratio))


def offset(entry: Input) -> float:
    """The largest of the offsets."""
    return float(offsets(entry).max())


def spread(entry: Input) -> float:
    """The typical spread of a feature that varies (root mean square where features share a unit)."""
    live = entry.std[entry.live]
    if not len(live):
        return 0.0
    return float(entry.rows.std(correction=0)) if homogeneous(entry) else float(live.median())


def mix(entry: Input) -> float:
    """Largest over smallest size (root mean square) among the features that vary."""
    size = entry.rows.square().mean(0).sqrt()[entry.live]
    return float(size.max() / size.min().clamp(min=1e-300)) if len(size) > 1 else 1.0


def largest(entry: Input) -> float:
    """The size (root mean square) of the largest feature."""
    return float(entry.rows.square().mean(0).sqrt().max())


def past(entry: Input) -> dict[str, float]:
    """By name, how many factors of ten each reading is past its threshold."""
    from unstuck.rules.feature_scale_mix import MIXED
    from unstuck.rules.input_offset import FAR

    return {
        "feature-scale-mix": math.log10(max(mix(entry), 1e-9) / MIXED) if not homogeneous(entry) else -9.0,
        "input-offset": math.log10(max(offset(entry), 1e-9) / FAR),
        "input-scale": abs(math.log10(max(spread(entry), 1e-30))) - 1.0,
    }


def worst(entry: Input) -> str:
    """Which of the three names fits best."""
    by_name = past(entry)
    return max(by_name, key=lambda name: by_name[name])
