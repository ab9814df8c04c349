"""What becomes of the numbers that a network's distributions draw: whether anything acts on them.

A draw is acted on where its numbers leave for Python (`item`, `numpy`, an index), or where another call reads them.
One that only picks its own log-probability decides nothing: with a gradient, it is read in `log_prob`, or as an index
of logarithms.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from unstuck.recording.call_sites import TORCH, CallSites
from unstuck.recording.tracer import tensors
from unstuck.tape.found_lines import DrawnAgain
from unstuck.tape.ops import Op, of
from unstuck.tape.site import Site

DRAWING = {"multinomial", "bernoulli", "normal", "poisson"}
NEUTRAL = {"size", "dim", "numel", "stride", "__len__", "is_floating_point", "_is_all_true"}
"""Calls that do not read the numbers."""
PROPERTY = "__get__"
"""The name of what reads `.T`, `.data` or `.shape`."""
LEAVING = {"item", "tolist", "numpy"}
LOSSES = {"cross_entropy", "nll_loss"}
PICKING = {"gather", "take_along_dim", "index_select", "__getitem__", "getitem", *LOSSES}
"""Calls that read them as the places of other numbers."""
DISTRIBUTIONS = f"{TORCH}distributions{os.sep}"
FEWEST = 3
"""Draws of a line of which nothing is acted on, and of another of which something is."""
KEPT = 4
PASSES = 8
"""Backwards until the last look."""
HELD = 4096
"""Draws that are followed at once, at most."""


@dataclass
class _Line:
    """What one line has drawn."""

    drawn: int = 0
    scored: int = 0
    """Reads for their own log-probability."""
    acted: int = 0


class Drawn:
    """`after` each call, in the order in which they are made."""

    def __init__(self, call_sites: CallSites, passes: Callable[[], int]) -> None:
        self._call_sites, self._passes = call_sites, passes
        self.over = False
        self._lines: dict[Site, _Line] = {}
        self._held: dict[int, tuple[weakref.ref[Tensor], _Line]] = {}

    def after(self, frame: FrameType, func: Any, args: Any, kwargs: Any, out: Any, weights: bool) -> None:
        """A call was made in a frame; `weights`: it depends on weights."""
        name = getattr(func, "__name__", "")
        self.over = self.over or self._passes() >= PASSES
        if name in DRAWING and weights and isinstance(out, Tensor) and not out.requires_grad:
            self._draws(frame, out)
        elif self._held and name not in NEUTRAL:
            for place, tensor in enumerate(tensors((args, kwargs))):
                line = self._of(tensor)
                if line is not None:
                    self._reads(line, frame, name, place, args, out)

    def kept(self) -> tuple[DrawnAgain, ...]:
        """The lines that draw what is acted on nowhere, where another line draws what is."""
        acting = [site for site, line in self._lines.items() if line.acted >= FEWEST]
        idle = [(s, n) for s, n in self._lines.items() if not n.acted and min(n.drawn, n.scored) >= FEWEST]
        return tuple(DrawnAgain(site, line.drawn, acting[0]) for site, line in idle[:KEPT] if acting)

    def _draws(self, frame: FrameType, out: Tensor) -> None:
        for site in self._call_sites.outward(frame)[:1]:
            line = self._lines.setdefault(site, _Line())
            line.drawn += 1
            self._hold(out, line)

    def _reads(self, line: _Line, frame: FrameType, name: str, place: int, args: Any, out: Any) -> None:
        own = _scores(frame)
        if (name == PROPERTY or _hands_on(of(name), place)) and not (own and len(list(tensors(args))) > 1):
            for tensor in tensors(out):
                self._hold(tensor, line)
        elif own or (name in PICKING and place and _logarithm(name, args)):
            line.scored += torch.is_grad_enabled() and any(t.requires_grad for t in tensors(out))
        else:
            line.acted += 1

    def _hold(self, tensor: Tensor, line: _Line) -> None:
        if len(self._held) >= HELD:
            self._held = {key: one for key, one in self._held.items() if one[0]() is not None}
            self.over = len(self._held) >= HELD // 2
        self._held[id(tensor)] = (weakref.ref(tensor), line)

    def _of(self, tensor: Tensor) -> _Line | None:
        found = self._held.get(id(tensor))
        if found is None:
            return None
        if found[0]() is tensor:
            return found[1]
        del self._held[id(tensor)]
        return None


def _scores(frame: FrameType | None) -> bool:
    """Whether a call was made by torch's distributions."""
    while frame is not None and (file := frame.f_code.co_filename).startswith(TORCH):
        if file.startswith(DISTRIBUTIONS):
            return True
        frame = frame.f_back
    return False


def _hands_on(op: Op, place: int) -> bool:
    """Whether the result of a call is the numbers of its argument at a place."""
    if op.name in LEAVING:
        return False
    return op.kind == "joining" or (op.hands_on in ("all", "some") and not place)


def _logarithm(name: str, args: Any) -> bool:
    """Whether a call picks from logarithms, or takes them itself."""
    node = args[0].grad_fn if args and isinstance(args[0], Tensor) else None
    return name in LOSSES or (node is not None and node.name().startswith("Log"))
