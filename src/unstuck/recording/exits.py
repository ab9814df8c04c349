"""Numbers that leave tensors for Python (`item`, `float`, `numpy`, `format`), and what each was computed from.

A number that the script prints is a Python number by then. What is kept here lets it be followed back: its value, the
line where it left its tensor, and the forwards without a backward, or the training step, that the tensor depends on.
Of each line the first and the last numbers are kept, and those that stood last when a line was printed; each carries
the sum of all before it, so that a mean over an epoch of any length is known.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unstuck.recording.call_sites import CallSites
from unstuck.recording.parameter_names import is_weight
from unstuck.recording.tracer import Entry, Tracer, tensors
from unstuck.tape.model import Exit, Exits
from unstuck.tape.site import Site

WAYS = ("item", "tolist", "numpy", "__float__", "__int__", "__array__", "__format__", "__repr__")
"""Methods of a tensor that give its values to Python. Truth values are decisions of the script, no results."""
FIRST, LAST, MARKED = 16, 512, 64
"""Numbers kept of each line: the first, the last, and those before a printed line."""
SITES = 48
"""Lines of which numbers are kept."""
WAITING = 4_096
"""Numbers whose origin may wait for the end of their step."""
NOWHERE = (-1, -1, -1)
"""Of neither an evaluation nor a training step."""
Origin = tuple[int, int, int]
"""The first and the last evaluation on the tape, and the last training step, that a tensor depends on; -1 for none."""


class _Line:
    """The numbers that left at one line of the script."""

    def __init__(self, site: Site | None) -> None:
        self.site, self.count, self.total = site, 0, 0.0
        self.first: list[list[Any]] = []
        self.last: deque[list[Any]] = deque(maxlen=LAST)
        self.marked: deque[list[Any]] = deque(maxlen=MARKED)

    def add(self, order: int, value: float, after: int, origin: Origin, size: int) -> list[Any]:
        self.total += value if math.isfinite(value) else 0.0
        one = [order, self.count, value, self.total, after, *origin, size]
        self.count += 1
        (self.first if len(self.first) < FIRST else self.last).append(one)
        return one

    def mark(self) -> None:
        newest = self.last[-1] if self.last else self.first[-1]
        if not self.marked or self.marked[-1] is not newest:
            self.marked.append(newest)

    def kept(self) -> Exits:
        found = {one[0]: Exit(*one) for one in (*self.first, *self.marked, *self.last)}
        return Exits(self.site, self.count, tuple(found[order] for order in sorted(found)))


class TensorExits:
    """Sees every number leave; `marks` are the functions of torch that it takes over."""

    def __init__(self, call_sites: CallSites, passes: Callable[[], int], failed: Callable[[Exception], None]) -> None:
        self._call_sites, self._passes, self._failed = call_sites, passes, failed
        self.tracer: Tracer | None = None
        """Knows what depends on a weight."""
        self.blind = False
        """From some moment on steps go by unseen."""
        self.count = 0
        """Numbers that have left."""
        self._lines: dict[Site | None, _Line] = {}
        self._waiting: deque[tuple[list[Any], int, int]] = deque(maxlen=WAITING)
        """Each with its tensor's id, and the calls of the step before it."""
        self.marks = {getattr(torch.Tensor, way): self._leaves for way in WAYS}

    def _leaves(self, func: Any, args: Any, kwargs: Any) -> Any:
        out = func(*args, **kwargs)
        try:
            self._left(args[0], out)
        except Exception as error:
            self._failed(error)
        return out

    def _left(self, tensor: Tensor, out: Any) -> None:
        tracer = self.tracer
        if tracer is None or tracer.quiet or not tracer.wanted or self.blind or not tracer.depends(tensor):
            return
        if is_weight(tensor):
            return
        line = self._line()
        if line is None:
            return
        made, passes = id(tensor) in tracer.made, self._passes()
        origin = NOWHERE if made else (-1, -1, passes - 1)
        size = tensor.numel()
        one = line.add(self.count, _value(tensor, out) if size == 1 else math.nan, passes, origin, size)
        self.count += 1
        if made:
            self._waiting.append((one, id(tensor), len(tracer.entries)))

    def _line(self) -> _Line | None:
        site = self._call_sites.innermost(3)
        if site not in self._lines and len(self._lines) < SITES:
            self._lines[site] = _Line(site)
        return self._lines.get(site)

    def printed(self) -> int:
        """A line is printed: how many numbers had left before it."""
        for line in self._lines.values():
            line.mark()
        return self.count

    def resolve(self, calls: list[Entry], inside: set[int], places: dict[int, int], passes: int) -> None:
        """The step is over: find what the waiting numbers were computed from.

        `inside`: ids of the calls that the backward goes through; `places`: by id of a call, the number of its
        evaluation on the tape (-1 where it is not there).
        """
        if not self._waiting:
            return
        waiting = [w for w in self._waiting if w[2] <= len(calls)]
        self._waiting.clear()
        behind = _Behind(calls, inside, places, passes)
        for one, tensor, before in waiting:
            one[5:8] = behind.of(tensor, before)

    def kept(self) -> tuple[Exits, ...]:
        """What is kept, by line."""
        return tuple(line.kept() for line in self._lines.values())


class _Behind:
    """What tensors of one step depend on."""

    def __init__(self, calls: list[Entry], inside: set[int], places: dict[int, int], passes: int) -> None:
        self._calls, self._inside, self._places, self._passes = calls, inside, places, passes
        self._makers: dict[int, list[int]] = {}
        for n, call in enumerate(calls):
            for made in call.results:
                self._makers.setdefault(id(made), []).append(n)
        self._known: dict[int, Origin] = {}
        self._read: dict[int, list[int]] = {}

    def of(self, tensor: int, before: int) -> Origin:
        """The origin of the tensor with that id, as it was before a call."""
        maker = self._maker(tensor, before)
        if maker is None:
            return NOWHERE
        for n in sorted(self._unknown(maker)):
            self._known[n] = self._origin(n)
        return self._known[maker]

    def _maker(self, tensor: int, before: int) -> int | None:
        makers = self._makers.get(tensor, [])
        at = bisect_left(makers, before) - 1
        return makers[at] if at >= 0 else None

    def _before(self, n: int) -> list[int]:
        """The calls that made what a call reads."""
        if n not in self._read:
            call = self._calls[n]
            found = (self._maker(id(t), n) for t in tensors((call.args, call.kwargs)))
            self._read[n] = [m for m in found if m is not None]
        return self._read[n]

    def _unknown(self, maker: int) -> set[int]:
        found, left = set[int](), [maker]
        while left:
            n = left.pop()
            if n not in found and n not in self._known:
                found.add(n)
                left += [] if id(self._calls[n]) in self._inside else self._before(n)
        return found

    def _origin(self, n: int) -> Origin:
        call = self._calls[n]
        if id(call) in self._inside:
            return (-1, -1, self._passes)
        own = self._places.get(id(call), -1)
        origins = [(own, own, self._earlier(call, n)), *(self._known[m] for m in self._before(n))]
        lows = [low for low, _, _ in origins if low >= 0]
        return min(lows, default=-1), max(high for _, high, _ in origins), max(step for _, _, step in origins)

    def _earlier(self, call: Entry, n: int) -> int:
        """The step before, where a call reads what that one made."""
        read = tensors((call.args, call.kwargs))
        late = (t.requires_grad and not t.is_leaf and self._maker(id(t), n) is None for t in read)
        return self._passes - 1 if any(late) else -1


def _value(tensor: Tensor, out: Any) -> float:
    """The number that left; `out` is what the script got."""
    if isinstance(out, int | float):
        return float(out)
    return float(tensor.detach()) if isinstance(out, str) else float(_only(out))


def _only(nested: Any) -> Any:
    while isinstance(nested, list):
        nested = nested[0]
    return nested.reshape(-1)[0] if getattr(nested, "ndim", 0) else nested
