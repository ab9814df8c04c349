"""The person's lines that clear gradients, run a backward and step an optimizer, in the order of their first calls.

Nothing of torch is replaced for it: the recorder knows of every backward and every step, and what clears a gradient is
a call that the tracer sees (`zero_grad` sets each to None or writes zeros to it, and so does a loop of the person's).
A clearing that finds no gradient is none. After the first steps nobody looks any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from unstuck.recording.parameter_names import Names
from unstuck.recording.tracer import UNTAKEN, Marks, tensors
from unstuck.tape.model import LoopCall
from unstuck.tape.site import Site

PASSES = 256
"""Backwards until the last look."""
MOST = 96
"""Calls kept; those that follow each other at one line (accumulated gradients) are one."""
Sites = Callable[[int], tuple[Site, ...]]


@dataclass
class _Seen:
    kind: str
    sites: tuple[Site, ...]
    optimizer: int
    order: int
    after: int
    cleared: set[str] = field(default_factory=set)
    """The names of the weights whose gradients it cleared."""


class LoopCalls:
    """Notes all three. `passes`: how many passes were recorded so far; `marks` are the functions of torch to watch."""

    def __init__(
        self, sites: Sites, passes: Callable[[], int], names: Names, failed: Callable[[Exception], None]
    ) -> None:
        self._sites, self._passes, self._names, self._failed = sites, passes, names, failed
        self._calls: list[_Seen] = []
        self._order = 0
        self._over = False
        setter = torch.Tensor.grad.__set__  # type: ignore[attr-defined]
        every = torch._foreach_zero_  # pyright: ignore[reportPrivateImportUsage]
        self.marks: Marks = {setter: self._set, torch.Tensor.zero_: self._zeroed, every: self._zeroed}
        self.watched: Marks = self.marks
        """Where the marks are taken out again."""

    def backward(self) -> None:
        """A backward is about to begin."""
        self._guarded(self._note, "backward", -1)

    def step(self, optimizer: int) -> None:
        """An optimizer (its place among those seen) has stepped; one that calls a closure has done so by now."""
        self._guarded(self._note, "step", optimizer)

    def close(self) -> None:
        """Look no more."""
        self._over = True
        for function in tuple(self.marks):
            self.watched.pop(function, None)

    def kept(self, number: Callable[[int], int], holders: dict[str, int]) -> tuple[LoopCall, ...]:
        """As they stand on the tape. `number`: of an optimizer seen, on the tape; `holders`: the optimizers' numbers,
        by the names of the weights that they hold."""
        return tuple(
            LoopCall(c.kind, c.sites, c.order, c.after, _holder(c, holders) if c.cleared else number(c.optimizer))
            for c in self._calls
        )

    def _note(self, kind: str, optimizer: int) -> _Seen | None:
        passes = self._passes()
        if self._over or passes >= PASSES:
            self.close()
            return None
        sites = self._sites(4)
        last = self._calls[-1] if self._calls else None
        again = last is not None and (last.kind, last.sites, last.optimizer) == (kind, sites, optimizer)
        self._order += kind != "clear" or not again  # each weight that is cleared tells of the same call
        if again:
            return last
        if len(self._calls) >= MOST:
            self.close()
            return None
        self._calls.append(_Seen(kind, sites, optimizer, self._order, passes))
        return self._calls[-1]

    # -- gradients that are cleared ----------------------------------------------------------------------------------

    def _set(self, func: Any, args: Any, kwargs: Any) -> Any:
        if len(args) == 2 and args[1] is None:
            self._guarded(self._cleared, args[0])
        return UNTAKEN

    def _zeroed(self, func: Any, args: Any, kwargs: Any) -> Any:
        self._guarded(self._emptied, args)
        return UNTAKEN

    def _emptied(self, args: Any) -> None:
        gradients = {id(t) for t in tensors(args)}
        for _, weight in list(self._names.all()):
            if weight.is_leaf and id(weight.grad) in gradients:
                self._cleared(weight)

    def _cleared(self, weight: Tensor) -> None:
        if weight in self._names and (found := self._note("clear", -1)) is not None:
            found.cleared.add(self._names.of(weight))

    def _guarded(self, call: Callable[..., Any], *args: Any) -> None:
        try:
            call(*args)
        except Exception as error:
            self._failed(error)


def _holder(seen: _Seen, holders: dict[str, int]) -> int:
    """The optimizer that holds all the weights that a call cleared; -1 where they have several, or none."""
    found = {holders.get(name, -1) for name in seen.cleared}
    return found.pop() if len(found) == 1 else -1
