"""Numbers too large for single precision: time stamps near 1.7e9 are multiples of 128 as float32.

Arithmetic on data is looked at while the first batches are made: a column whose numbers vary by few of the steps that
float32 knows at their size has lost what was below such a step, also where it is made double precision again. The
differences of such numbers are looked at too: they may be small where the numbers themselves vary widely.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from unstuck.recording.call_sites import CallSites
from unstuck.tape.found_lines import Coarse
from unstuck.tape.site import Site

LARGE = 2.0**25
"""Numbers from here on are even: float32 has 24 bits."""
STEPS = 4096
"""Steps of float32 in one standard deviation, below which a column is coarse."""
DIFFERENCES = {"sub", "rsub", "diff"}
FEWEST = 16
COLUMNS, NUMBERS = 64, 200_000
CALLS = 500
KEPT = 8


class CoarseNumbers:
    """`after` each call that depends on no weight."""

    def __init__(self, call_sites: CallSites) -> None:
        self._call_sites = call_sites
        self._found: dict[Site, Coarse] = {}
        self._calls = 0

    def after(self, name: str, given: Any, out: Any) -> None:
        """Arithmetic was done with a tensor."""
        if self._calls >= CALLS or len(self._found) >= KEPT or not _may_be(given):
            return
        self._calls += 1
        site = self._call_sites.direct(sys._getframe(4))
        if site is None or site in self._found:
            return
        differences = name.strip("_") in DIFFERENCES and _may_be(out)
        found = max((*_coarse(given, given), *(_coarse(out, given) if differences else ())), default=None)
        if found is not None:
            largest, step, spread = found
            self._found[site] = Coarse(site, largest, step, spread, len(given))

    def kept(self) -> tuple[Coarse, ...]:
        """The lines."""
        return tuple(self._found.values())


def _may_be(given: Any) -> bool:
    single = isinstance(given, Tensor) and given.dtype in (torch.float32, torch.float64) and not given.requires_grad
    return (
        single and given.dim() > 0 and len(given) >= FEWEST and given.numel() <= NUMBERS and given.device.type == "cpu"
    )


def _coarse(values: Tensor, source: Tensor) -> Iterator[tuple[float, float, float]]:
    """The largest number, float32's step there, and the standard deviation, of each column of `values` that is coarse;
    the step is that of the numbers which they come from."""
    table = values.detach().reshape(len(values), -1)[:, :COLUMNS].double()
    same = values is source
    largest = table.abs().amax(0) if same else source.detach().double().abs().max().expand(table.shape[1])
    for column in ((largest >= LARGE) & largest.isfinite()).nonzero().flatten().tolist():
        numbers, most = table[:, column], float(largest[column])
        step, spread = math.ldexp(1.0, math.frexp(most)[1] - 24), float(numbers.std())  # 24 bits of mantissa
        if 0 < spread <= STEPS * step and bool((numbers % step == 0).all()):
            yield most, step, spread
