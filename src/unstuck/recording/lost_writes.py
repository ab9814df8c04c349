"""Assignments that change a tensor nobody holds: `x[rows][column] = 0`, where `x[rows]` is a copy.

Indexing with a list, a mask or a tensor of indices copies; an assignment to a part of that copy is lost with it. Such a
tensor is no view of another, and is referred to by the call alone.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from unstuck.recording.tracer import UNTAKEN
from unstuck.tape.found_lines import LostWrite
from unstuck.tape.site import Site

SETTING: Any = torch.Tensor.__setitem__
KEPT = 16
TRACED = 3
"""References that the tracer holds to a value that depends on weights: two in its entry, and one by its id."""
IN_PLACE = 1
"""References more where the assignment is one of `+=`: the part is read first."""


class LostWrites:
    """`sites(depth)`: the person's frames; `traced(tensor)`: whether the tracer keeps a tensor."""

    def __init__(
        self,
        sites: Callable[[int], tuple[Site, ...]],
        traced: Callable[[Tensor], bool],
        failed: Callable[[Exception], None],
    ) -> None:
        self._sites, self._traced, self._failed = sites, traced, failed
        self._times: Counter[tuple[Site, int]] = Counter()
        self.marks = {SETTING: self._sets}

    def kept(self) -> tuple[LostWrite, ...]:
        """The lines, and how often each has changed what nobody holds."""
        return tuple(LostWrite(*key, times) for key, times in self._times.most_common(KEPT))

    def _sets(self, func: Any, args: Any, kwargs: Any) -> Any:
        try:
            references = sys.getrefcount(args[0])
            self._look(args[0], references)
        except Exception as error:
            self._failed(error)
        return UNTAKEN

    def _look(self, tensor: Tensor, references: int) -> None:
        more = references - _alone() - TRACED * self._traced(tensor)
        if more <= IN_PLACE and _owns(tensor) and (site := next(iter(self._sites(4)), None)):
            self._times[site, more] += 1


def _owns(tensor: Tensor) -> bool:
    """Whether its memory is its own, and not part of another tensor's."""
    return type(tensor) is Tensor and not tensor.is_inference() and tensor._base is None and not tensor.requires_grad


@cache
def _alone() -> int:
    """References to a tensor that the call of an assignment alone holds, counted as `_sets` does."""
    found: list[int] = []

    class Probe(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return counted(func, args, kwargs) if func is SETTING else func(*args, **(kwargs or {}))

    def counted(func: Any, args: Any, kwargs: Any) -> Any:
        found.append(sys.getrefcount(args[0]))
        return func(*args, **(kwargs or {}))

    with torch.device("cpu"), Probe():
        torch.zeros(2)[[0]][0] = 1
    return found[0]
