"""Reductions that are broadcast along another axis than the one that they were made along: `x - x.mean(1)`.

A reduction over any axis but the first, without `keepdim`, has one axis less than what it was made of. In arithmetic
with a tensor of that shape torch lays its last axis along the last of the other, which is another axis: where their
lengths agree by chance (as many rows in a batch as steps in a window), no error is raised.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from typing import Any

import torch
from torch import Tensor

from unstuck.recording.call_sites import CallSites
from unstuck.tape.found_lines import Crossed
from unstuck.tape.ops import of
from unstuck.tape.site import Site

REDUCING = {"mean", "sum", "std", "var", "amax", "amin", "norm", "median", "nanmean", "logsumexp"}
PAIRS = {"max", "min", "median"}
"""Calls that give the numbers and their places."""
SYMMETRIC, LOOKED_AT = 1e-4, 128
KEPT = 8


class CrossedAxes:
    """`after` each call that depends on no weight."""

    def __init__(self, call_sites: CallSites) -> None:
        self._call_sites = call_sites
        self._made: dict[int, tuple[weakref.ref[Tensor], weakref.ref[Tensor], int]] = {}
        """By id: the reduction, what it was made of, and the axis."""
        self._times: Counter[tuple[Site, tuple[int, ...], int]] = Counter()

    def after(self, name: str, args: Any, kwargs: Any, out: Any) -> None:
        """A call was made."""
        if name in REDUCING or name in PAIRS:
            self._reduced(args, kwargs, out if isinstance(out, Tensor) else next(iter(out), None))
        elif self._made and len(args) == 2 and of(name.strip("_")).kind == "arithmetic":
            for one, other in (args, args[::-1]):
                self._met(one, other)

    def kept(self) -> tuple[Crossed, ...]:
        """The lines, and how often."""
        return tuple(Crossed(*key, times) for key, times in self._times.most_common(KEPT))

    def _reduced(self, args: Any, kwargs: Any, out: Any) -> None:
        given, axis = args[0] if args else None, kwargs.get("dim", args[1] if len(args) > 1 else None)
        if not isinstance(given, Tensor) or not isinstance(out, Tensor) or type(axis) is not int:
            return
        less = given.dim() > 1 and out.dim() == given.dim() - 1 and given.is_floating_point()
        if less and (axis := axis % given.dim()):
            key = id(out)
            self._made[key] = (weakref.ref(out, lambda _: self._made.pop(key, None)), weakref.ref(given), axis)

    def _met(self, one: Any, other: Any) -> None:
        ref, given, axis = self._made.get(id(one), (None, None, 0))
        if ref is None or given is None or ref() is not one or not isinstance(other, Tensor) or given() is not other:
            return
        site = self._call_sites.direct(sys._getframe(5))
        if site is not None and not _symmetric(other):
            self._times[site, tuple(other.shape), axis] += 1


def _symmetric(tensor: Tensor) -> bool:
    """Whether rows and columns of a matrix are the same: then it is of no matter which of them a reduction is."""
    if tensor.shape[-1] != tensor.shape[-2]:
        return False
    few = tensor.detach()[..., :LOOKED_AT, :LOOKED_AT].double()
    return torch.allclose(few, few.mT, rtol=SYMMETRIC, atol=1e-8)
