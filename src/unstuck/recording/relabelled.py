"""Data whose axes get each other's lengths by a reshape: `grid.view(1, ny, nx, 2)` of a grid of shape (nx, ny, 2).

A reshape keeps the order in memory. From (12, 8) to (8, 12) it cuts every row into pieces, where a transposition was
meant; the shapes are valid, so no error is raised.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor

from unstuck.recording.call_sites import CallSites
from unstuck.tape.axes import regrouped
from unstuck.tape.found_lines import Relabelled
from unstuck.tape.site import Site

RESHAPES = {"view", "reshape", "view_as", "reshape_as"}
NUMBERS = 4_000_000
"""Largest tensor whose numbers are compared."""
CALLS, KEPT = 200, 8


class RelabelledAxes:
    """`after` each call that depends on no weight."""

    def __init__(self, call_sites: CallSites) -> None:
        self._call_sites = call_sites
        self._found: dict[Site, Relabelled] = {}
        self._calls = 0

    def after(self, name: str, given: Any, out: Any) -> None:
        """A call was made."""
        if name not in RESHAPES or not isinstance(given, Tensor) or not isinstance(out, Tensor):
            return
        before, after = (tuple(n for n in t.shape if n != 1) for t in (given, out))
        if before == after or sorted(before) != sorted(after) or self._calls >= CALLS or len(self._found) >= KEPT:
            return
        self._calls += 1
        site = self._call_sites.direct(sys._getframe(4))
        if site is not None and site not in self._found and _cut(given, out, before, after):
            self._found[site] = Relabelled(site, name, tuple(given.shape), tuple(out.shape))

    def kept(self) -> tuple[Relabelled, ...]:
        """The lines."""
        return tuple(self._found.values())


def _cut(given: Tensor, out: Tensor, before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether the reshape leaves out a transposition that would have given other numbers."""
    meant = regrouped(before, after)
    if meant is None or not meant.whole or given.numel() > NUMBERS:
        return False
    moved = given.detach().reshape(before).permute(meant.order)
    return not torch.equal(moved, out.detach().reshape(after))
