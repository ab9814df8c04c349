"""Inputs that drift: rows of one population whose statistics move one way over the whole training.

Random augmentation leaves a population as it is. One that writes into the stored rows adds up from visit to visit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.evaluation import answers
from unstuck.signals.task import Task, main_program
from unstuck.signals.training_path import same_slot
from unstuck.tape.model import Pass, Tape

PASSES = 60
"""Steps below which a trend may be chance."""
NUMBERS = 4
"""Numbers in a row, at least: a single feature may well be time itself."""
TREND = 0.8
"""Rank correlation of a statistic with time; that of 60 independent numbers stays below 0.45 (3.5 / sqrt(60))."""
FAR = 1.0
"""Change from the first quarter to the last, in standard deviations between the rows at first."""
MIXED = 0.15
"""Largest difference of a class's share between the two quarters: other rows are another population."""
NEAR = 0.5
"""The rows of the evaluation are as those at first: their distance is at most this share of that from the last ones."""


@dataclass(frozen=True)
class Drift:
    """The statistic of the rows that moves most."""

    name: str
    first: float
    last: float
    """Medians over the first and the last quarter of the steps."""
    change: float
    """In standard deviations between the rows at first."""
    trend: float
    """Rank correlation with time."""
    evaluated: float | None
    """The same statistic of the rows of the last evaluation."""

    @property
    def drifts(self) -> bool:
        """Whether it moves one way, and far."""
        return abs(self.trend) >= TREND and self.change >= FAR

    @property
    def leaves(self) -> bool:
        """Whether the rows of the evaluation are as those of the training were at first."""
        return self.evaluated is not None and abs(self.evaluated - self.first) <= NEAR * abs(self.evaluated - self.last)

    @classmethod
    def read(cls, tape: Tape) -> Drift:
        """NotApplicable where targets are not classes or values of known rows, or for few steps."""
        number, task = main_program(tape), Task.read(tape)
        passes = [p for p in tape.passes if p.program == number]
        if task.kind not in ("classes", "binary", "regression") or task.target is None or len(passes) < PASSES:
            raise NotApplicable("too few steps of a task with known targets were recorded")
        slot = _slot(tape, passes[0], task.target)
        quarter = len(passes) // 4
        if _other_classes(tape, task, passes[:quarter], passes[-quarter:]):
            raise NotApplicable("the rows of the last steps are of other classes than those of the first")
        rows = [tape.tensors[p.outside[slot]].float().flatten(1) for p in passes]
        found = [_moved(cls, tape, number, slot, name, rows) for name in STATISTICS]
        return max(found, key=lambda one: (one.drifts, one.change * abs(one.trend)))


STATISTICS = {
    "mean": lambda rows: rows.mean(1),
    "standard deviation": lambda rows: rows.std(1, correction=0),
    "share of zeros": lambda rows: (rows == 0).float().mean(1),
}
"""Of a row, by name."""


def _slot(tape: Tape, first: Pass, target: int) -> int:
    """The largest real-valued input."""
    sizes = {n: tape.tensors[key] for n, key in enumerate(first.outside) if n != target}
    real = {n: t[0].numel() for n, t in sizes.items() if t.is_floating_point() and t.dim() > 1 and len(t)}
    if not real or max(real.values()) < NUMBERS:
        raise NotApplicable("the recorded main step takes no real-valued rows")
    return max(real, key=lambda n: real[n])


def _other_classes(tape: Tape, task: Task, early: list[Pass], late: list[Pass]) -> bool:
    if task.kind == "regression" or task.target is None:
        return False
    keys = ([p.outside[task.target] for p in part] for part in (early, late))
    one, other = (torch.cat([tape.tensors[key].flatten() for key in part]).long() for part in keys)
    kinds = 1 + int(torch.cat([one, other]).max())
    shares = [torch.bincount(t.clamp(min=0), minlength=kinds) / len(t) for t in (one, other)]
    return float((shares[0] - shares[1]).abs().max()) > MIXED


def _moved(cls: type[Drift], tape: Tape, number: int, slot: int, name: str, rows: list[Tensor]) -> Drift:
    values = [STATISTICS[name](batch) for batch in rows]
    course = torch.stack([v.mean() for v in values]).double()
    quarter = len(course) // 4
    first, last = float(course[:quarter].median()), float(course[-quarter:].median())
    between = float(torch.cat(values[:quarter]).std())
    change = abs(last - first) / between if between > 0 else 0.0
    return cls(name, first, last, change, _rank_correlation(course), _evaluated(tape, number, slot, name))


def _rank_correlation(course: Tensor) -> float:
    """Spearman's, of a series with time."""
    ranks = course.argsort().argsort().double()
    both = torch.stack([ranks, torch.arange(len(course), dtype=torch.float64)])
    return float(torch.corrcoef(both)[0, 1]) if float(course.std()) > 0 else 0.0


def _evaluated(tape: Tape, number: int, slot: int, name: str) -> float | None:
    """The statistic over the rows of the last evaluation; None where there was none of these inputs."""
    found = []
    for program, outside, *_ in answers(tape):
        here = same_slot(tape.programs[number], slot, program)
        if here is not None and outside[here].dim() > 1:
            found.append(STATISTICS[name](outside[here].float().flatten(1)))
    return float(torch.cat(found).mean()) if found else None
