"""What the first batches were made of: the arithmetic of the person's that the tensors of a step went through.

What enters a program was made outside it, and the tracer keeps no call of that. Here the arithmetic on such tensors is
noted, with the range of the numbers before and after; calls that only pick, join or reshape rows hand it on. A call
that averages neighbours is noted where it makes fractions of whole numbers, as of the class ids of a mask. Nothing is
kept of the tensors themselves.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unstuck.recording.call_sites import CallSites
from unstuck.recording.coarse import DIFFERENCES, CoarseNumbers
from unstuck.recording.crossed import CrossedAxes
from unstuck.recording.relabelled import RelabelledAxes
from unstuck.recording.tracer import tensors
from unstuck.tape import ops
from unstuck.tape.found_lines import Prepared, Written
from unstuck.tape.site import Site

PASSES = 4
"""Backwards until the last look."""
CALLS = 20_000
"""Arithmetic that is looked at, at most: data may be made number by number."""
NUMBERS = 200_000
"""Of a tensor, for its range."""
DEPTH = 4
KINDS = {"arithmetic", "function", "step"}
AVERAGING = {"interpolate", "upsample", "grid_sample"}
"""Calls that mix neighbours, beside those that pool."""
WRITING = "__setitem__"
Range = tuple[float, float]


@dataclass(frozen=True)
class _Made:
    """One call of the person's, and what it read was made of."""

    site: Site
    name: str
    before: Range
    after: Range
    parent: _Made | None
    averages: bool = False

    @property
    def averaged(self) -> bool:
        """Whether a call behind it has averaged."""
        return self.averages or (self.parent is not None and self.parent.averaged)


class Lineage:
    """`after` each call that depends on no weight, `look` at what enters a step."""

    def __init__(self, call_sites: CallSites) -> None:
        self._call_sites, self.crossed = call_sites, CrossedAxes(call_sites)
        self.coarse, self.relabelled = CoarseNumbers(call_sites), RelabelledAxes(call_sites)
        self._made: dict[int, tuple[weakref.ref[Tensor], _Made]] = {}
        self._found: dict[tuple[int, int], tuple[Prepared, ...]] = {}
        self._writes: dict[int, tuple[weakref.ref[Tensor], Site]] = {}
        self._written: dict[tuple[int, int], Site] = {}
        self._calls = self._looks = 0
        self.over = False

    def after(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        """A call was made that depends on no weight."""
        given = next(tensors((args, kwargs)), None)
        if given is None or (isinstance(out, Tensor) and out.dtype == torch.bool):
            return  # what a comparison tells has no size
        name = getattr(func, "__name__", "")
        self.crossed.after(name, args, kwargs, out)
        self.relabelled.after(name, given, out)
        if name == WRITING:
            self._write(given)
        kind = ops.of(name.strip("_")).kind
        if kind in KINDS or name in DIFFERENCES:
            self.coarse.after(name, given, out)
        made = self._joined(args) if kind == "joining" else self._of(given)
        averages = name in AVERAGING or kind == "pooling"
        if (kind in KINDS or averages) and isinstance(out, Tensor) and out is not given and self._calls < CALLS:
            self._calls += 1
            make = self._average if averages else self._arithmetic
            made = make(name, given, out, made) or made
        if made is not None:
            for tensor in tensors(out):
                self._note(tensor, made)

    def _write(self, tensor: Tensor) -> None:
        site = self._call_sites.direct(sys._getframe(4))
        if site is not None:
            key = id(tensor)
            self._writes[key] = (weakref.ref(tensor, lambda _: self._writes.pop(key, None)), site)

    def _joined(self, args: Any) -> _Made | None:
        """What the first of several tensors was made of; of one that was averaged, where there is such."""
        found = [made for tensor in tensors(args) if (made := self._of(tensor)) is not None]
        return next((made for made in found if made.averaged), found[0] if found else None)

    def _note(self, tensor: Tensor, made: _Made) -> None:
        key = id(tensor)
        self._made[key] = (weakref.ref(tensor, lambda _: self._made.pop(key, None)), made)

    def look(self, program: int, outside: Sequence[Tensor]) -> None:
        """A step of a program is recorded."""
        for slot, tensor in enumerate(outside):
            if (program, slot) not in self._found and (made := self._of(tensor)) is not None:
                self._found[program, slot] = tuple(_chain(program, slot, made))
            ref, site = self._writes.get(id(tensor), (None, None))
            if ref is not None and site is not None and ref() is tensor:
                self._written.setdefault((program, slot), site)
        self._looks += 1
        if self._looks >= PASSES:
            self.over = True
            self._made, self._writes = {}, {}

    def kept(self) -> tuple[Prepared, ...]:
        """By program and slot, the last call first."""
        return tuple(one for chain in self._found.values() for one in chain)

    def written(self) -> tuple[Written, ...]:
        """The lines that wrote places of what entered."""
        return tuple(Written(*key, site) for key, site in self._written.items())

    def _of(self, tensor: Tensor) -> _Made | None:
        ref, made = self._made.get(id(tensor), (None, None))
        return made if ref is not None and ref() is tensor else None

    def _arithmetic(self, name: str, given: Tensor, out: Tensor, parent: _Made | None) -> _Made | None:
        site = self._call_sites.direct(sys._getframe(4))
        if site is None or given.numel() < out.numel():
            return None
        before, after = _range(given), _range(out)
        return None if before is None or after is None else _Made(site, name, before, after, parent)

    def _average(self, name: str, given: Tensor, out: Tensor, parent: _Made | None) -> _Made | None:
        site = self._call_sites.innermost(5)
        if site is None or not _whole(given) or _whole(out):
            return None
        before, after = _range(given), _range(out)
        return None if before is None or after is None else _Made(site, name, before, after, parent, True)


def _chain(program: int, slot: int, made: _Made | None) -> list[Prepared]:
    chain: list[Prepared] = []
    while made is not None and len(chain) < DEPTH:
        chain.append(Prepared(program, slot, made.site, made.name, made.before, made.after, made.averages))
        made = made.parent
    return chain


def _range(tensor: Tensor) -> Range | None:
    """Smallest and largest number; None where there is none, or no order among them."""
    flat = tensor.detach().reshape(-1) if not tensor.is_sparse and not tensor.is_complex() else None
    if flat is None or not len(flat) or flat.dtype == torch.bool:
        return None
    low, high = flat[:: max(1, len(flat) // NUMBERS)].aminmax()
    return float(low), float(high)


def _whole(tensor: Tensor) -> bool:
    """Whether all of a sample of the numbers are whole."""
    flat = tensor.detach().reshape(-1)[:: max(1, tensor.numel() // NUMBERS)]
    return not flat.is_floating_point() or bool((flat == flat.round()).all())
