"""What the first steps make and nothing reads: a mask that is not applied, a term of the loss that is not added.

Every torch call from the first backward on is looked at, also those that depend on no weight. A value is read where a
later call takes it, whatever the call does with it (but for the same call again, as in a sum over a loop). One that
nothing has read when it is freed was made for nothing; so was a number (a term of the loss) where a line makes several
in each step and only the last of them is read. What is computed from weights without a gradient (a score that is
printed now and then) is left out, and so is what a function of a library makes for itself.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from unstuck.recording.call_sites import CallSites
from unstuck.recording.parameter_names import is_weight
from unstuck.recording.tracer import tensors
from unstuck.tape.found_lines import Unread
from unstuck.tape.site import Site

PASSES = 8
"""Backwards until the last look."""
FEWEST = 3
"""Times that a line has made values for nothing, and none that was read."""
KEPT = 16
MOST = 64
"""Numbers of one line in one step, beyond which they are no terms of a loss."""
FILLING = {"zeros", "ones", "empty", "full", "zeros_like", "ones_like", "empty_like", "full_like"}
"""Calls that compute nothing: what they fill with one number may stand for what another branch makes."""
SAME = {"positive", "__pos__"}
"""Calls that give back what they are given."""


@dataclass
class _Line:
    """What one line of the person's has made with one function."""

    made: int = 0
    read: int = 0
    freed: int = 0
    """How many of those that were not read are gone."""
    gradient: bool = False
    shape: tuple[int, ...] = ()
    step: list[_Result] = field(default_factory=list)
    """What it has given since the last backward, where each is one number, ..."""
    over: list[_Result] = field(default_factory=list)
    """... and before that."""
    lasts: Counter[int] = field(default_factory=Counter)
    """Steps in which all but the last of so many were not read; of 0, the other steps."""

    def close(self) -> None:
        """A backward begins: what was read of those of the step before (the tracer keeps them until it is over)."""
        if 1 < len(self.over) < MOST:
            *others, last = self.over
            only = last.read and not any(r.read or not r.freed for r in others)
            self.lasts[len(self.over) if only else 0] += 1
        self.over, self.step = self.step, []

    @property
    def last_of(self) -> int:
        """How many it makes in each step of which only the last is read; 0 where that is not so."""
        counts = list(self.lasts)
        return counts[0] if len(counts) == 1 and self.lasts[counts[0]] >= FEWEST and self.gradient else 0


@dataclass
class _Result:
    """What one call has given, as long as nothing has read any of it."""

    line: _Line
    site: Site
    parts: dict[int, weakref.ref[Tensor]]
    """By id."""
    places: tuple[Any, ...] = ()
    """Where their numbers lie."""
    read: bool = False

    @property
    def freed(self) -> bool:
        """Whether all of it is gone."""
        return all(ref() is None for ref in self.parts.values())


class UnreadValues:
    """`before` and `after` each call, `step` at each backward."""

    def __init__(self, call_sites: CallSites, passes: Callable[[], int]) -> None:
        self._call_sites, self._passes = call_sites, passes
        self._lines: dict[tuple[Site, str], _Line] = {}
        self._open: dict[int, _Result] = {}
        self._memory: dict[Any, _Result] = {}
        self.over = False

    def before(self, func: Any, args: Any, kwargs: Any) -> None:
        """A call is about to read its arguments."""
        if getattr(func, "__name__", "") in SAME:
            return
        for tensor in tensors((args, kwargs)):
            found = self._of(tensor)
            if found is not None:
                found.read = True
                found.line.read += self._call_sites.innermost(4) != found.site
                self._forget(found)

    def after(self, func: Any, args: Any, kwargs: Any, out: Any, weights: bool) -> None:
        """A call was made; `weights`: it depends on weights."""
        if not self._passes():  # what is made before belongs to the model or the data
            return
        name, given = getattr(func, "__name__", ""), {id(t) for t in tensors((args, kwargs))}
        made = [t for t in tensors(out) if id(t) not in given]
        self._reuse({_place(t) for t in made} - {_place(t) for t in tensors((args, kwargs))})
        constant = name in FILLING or (name == "tensor" and made and made[0].numel() == 1)
        if not made or name == "__get__" or constant or any(is_weight(t) for t in made):
            return
        gradient = any(t.requires_grad for t in made)
        site = None if weights and not gradient else self._call_sites.direct(sys._getframe(3))
        if site is not None:
            line = self._lines.setdefault((site, name), _Line())
            line.made, line.gradient, line.shape = line.made + 1, gradient, tuple(made[0].shape)
            places = tuple(place for t in made if (place := _place(t)) is not None)
            result = _Result(line, site, {id(t): weakref.ref(t) for t in made}, places)
            self._add(result)
            if not made[0].dim() and len(line.step) < MOST:
                line.step.append(result)

    def step(self) -> None:
        """A backward begins: count what is gone."""
        for found in {id(r): r for r in self._open.values()}.values():
            if found.freed:
                found.line.freed += 1
                self._forget(found)
        for line in self._lines.values():
            line.close()
        if self._passes() >= PASSES:
            self.close()

    def close(self) -> None:
        """Look no more."""
        self.over = True
        self._open.clear()
        self._memory.clear()

    def blind(self) -> None:
        """Calls go by unseen (in a compiled graph): nothing can be said of any line."""
        self.close()
        self._lines.clear()

    def kept(self) -> tuple[Unread, ...]:
        """The lines whose values nothing has ever read."""
        never = [(key, line) for key, line in self._lines.items() if not line.read and line.freed >= FEWEST]
        found = [*((key, line) for key, line in self._lines.items() if line.last_of), *never]
        return tuple(Unread(*key, n.made, n.gradient, n.shape, n.last_of) for key, n in found[:KEPT])

    def _of(self, tensor: Tensor) -> _Result | None:
        """What gave a tensor, or another with its numbers in the same memory (`Variable(x)` makes one unseen)."""
        found = self._open.get(id(tensor))
        if found is not None and found.parts[id(tensor)]() is tensor:
            return found
        return self._memory.get(_place(tensor))

    def _reuse(self, places: set[Any]) -> None:
        """New numbers lie where those of a result that is gone have lain."""
        for place in places & self._memory.keys():
            if self._memory[place].freed:
                del self._memory[place]

    def _add(self, result: _Result) -> None:
        for key in result.parts:
            old = self._open.get(key)
            if old is not None:  # the tensor that had this id is gone
                old.line.freed += old.freed
                self._forget(old)
            self._open[key] = result
        for place in result.places:
            self._memory[place] = result

    def _forget(self, result: _Result) -> None:
        for key in result.parts:
            if self._open.get(key) is result:
                del self._open[key]
        for place in result.places:
            if self._memory.get(place) is result:
                del self._memory[place]


def _place(tensor: Tensor) -> Any:
    """The memory and shape of a tensor's numbers; None where they are not in plain memory."""
    try:
        start = tensor.data_ptr()
    except RuntimeError:
        return None
    return (start, tensor.shape) if start else None
