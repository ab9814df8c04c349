"""Whether a network's outputs put the rows of one class above those of the other, whatever its answers are.

Where one class is rare or the data are noisy, the best answer for every row may be the same class: accuracy is then
that of the constant answer, and only the order of the outputs shows what was learnt (Hanley and McNeil 1982).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from unstuck.signals.task import Task
from unstuck.tape.model import Pass, Tape

CERTAIN = 6.0
"""Standard deviations from chance. Rows that are read in several epochs count each time: in truth these are fewer."""


class Ranking(NamedTuple):
    """The area under the ROC curve, and how far it lies above 1/2."""

    area: float
    deviations: float

    @property
    def certain(self) -> bool:
        """Whether the outputs tell the classes apart beyond chance."""
        return self.deviations >= CERTAIN


def ranking(tape: Tape, passes: Iterable[Pass], task: Task) -> Ranking | None:
    """The order of the recorded outputs of two classes; None where there are not two of them."""
    known = [p for p in passes if p.output] if task.target is not None else []
    pairs = [pair for p in known if (pair := _pair(tape, p, task)) is not None]
    if not pairs:
        return None
    given, wanted = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    return ranked(given, wanted)


def ranked(given: Tensor, wanted: Tensor) -> Ranking | None:
    """Outputs (N,) and classes (N,) that are 0 or 1; None where one of the classes is missing."""
    ones, zeros = int((wanted == 1).sum()), int((wanted == 0).sum())
    if not ones or not zeros or ones + zeros < len(wanted) or not bool(torch.isfinite(given).all()):
        return None
    below = float(ranks(given)[wanted == 1].sum()) * len(given)  # of all rows, equal ones by half
    area = (below - ones**2 / 2) / (ones * zeros)
    return Ranking(area, (area - 0.5) / ((ones + zeros + 1) / (12 * ones * zeros)) ** 0.5)


def ranks(values: Tensor) -> Tensor:
    """(N,) the share of values below each one, in float64; equal values have the same."""
    ordered = values.sort().values
    low, high = torch.searchsorted(ordered, values), torch.searchsorted(ordered, values, right=True)
    return (low + high).double() / (2 * len(values))


def _pair(tape: Tape, p: Pass, task: Task) -> tuple[Tensor, Tensor] | None:
    output = tape.tensors[p.output]
    target = task.wanted(lambda slot: tape.tensors[p.outside[slot]]).reshape(-1)
    if task.kind == "classes" and output.dim() == 2 and output.shape[1] == 2:
        output = output[:, 1] - output[:, 0]
    if task.kind not in ("binary", "classes") or output.numel() != len(target):
        return None
    return output.reshape(-1).double(), target.double()
