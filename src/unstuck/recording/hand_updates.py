"""Updates that no hook of torch announces: a script's own (`p -= lr * p.grad`), and those of other optimizer classes.

After a backward a mark is left on the weights: their identities, torch's version counters, and a few of their numbers.
Before the next one it tells whether they were written to, in whatever way. Now and then a part of their numbers is kept
together with the gradients, so that the rule behind the updates can be found (`update_rules`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unstuck.recording.update_rules import Rule, Step, rate_of, rule_of
from unstuck.recording.versions import sample, version

COMPARED = 8
"""The first so many updates are compared with the gradient; later ones now and then."""
EVERY = 8
"""Of later updates, one in so many is compared."""
PART = 4096
"""Numbers of each weight that are compared, at most."""


class Moved(NamedTuple):
    """An update: the names of the weights that it wrote to, and what it did to a part of their numbers."""

    names: frozenset[str]
    step: Step | None
    """None where nothing had been kept to compare with."""


class HandUpdates:
    """`look` after a backward, `take` before the next one."""

    def __init__(self) -> None:
        self._taught: tuple[str, ...] = ()
        self._mark: tuple[object, ...] = ()
        self._parts: dict[str, tuple[Tensor, Tensor]] = {}
        self._looks = 0

    def look(self, gradients: dict[str, Tensor], weights: dict[str, Tensor]) -> None:
        """After a backward that left these gradients."""
        self._looks += 1
        self._taught = tuple(gradients)
        self._mark = _mark([weights[name] for name in gradients])
        if self._looks > COMPARED and self._looks % EVERY:
            self._parts = {}
        else:
            self._parts = {name: (_part(weights[name]).clone(), _part(g).clone()) for name, g in gradients.items()}

    def take(self, written: frozenset[str], weights: dict[str, Tensor]) -> Moved | None:
        """What was updated since the last look; None where nothing was. `written`: what was seen to be written to."""
        if not self._taught:
            return None
        names, parts, self._parts = written.intersection(self._taught), self._parts, {}
        now = {name: _part(weights[name]) for name in parts}
        names = names or frozenset(name for name, (old, _) in parts.items() if not torch.equal(old, now[name]))
        if not names and (parts or self._mark == _mark([weights[name] for name in self._taught])):
            return None
        moved = [(old, now[name], gradient) for name, (old, gradient) in parts.items() if name in names]
        return Moved(names or frozenset(self._taught), _step(moved))

    def forget(self) -> None:
        """An optimizer of torch has stepped."""
        self._parts, self._taught = {}, ()


class History:
    """The updates of one optimizer as far as they were compared."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        """The learning rates of those that were plain descent."""
        self._steps: list[Step] = []
        self._whole, self._plain = True, False

    def add(self, step: Step | None) -> float | None:
        """The next update; its rate where it was plain descent, or the last one where it was not compared."""
        if step is None:
            self._whole = False
            return self.rates[-1] if self.rates and self._plain else None
        if self._whole and len(self._steps) < COMPARED:
            self._steps.append(step)
        rate = rate_of(step)
        self._plain = rate is not None
        self.rates += [] if rate is None else [rate]
        return rate

    def rule(self) -> Rule | None:
        """The rule that explains the first updates."""
        return rule_of(self._steps)


def _mark(weights: list[Tensor]) -> tuple[object, ...]:
    return (*map(id, weights), *map(version, weights), sample(weights))


def _part(tensor: Tensor) -> Tensor:
    flat = tensor.detach()
    flat = (flat.to_dense() if flat.layout is not torch.strided else flat).reshape(-1)
    return flat[:: -(-len(flat) // PART)] if len(flat) else flat


def _step(moved: list[tuple[Tensor, Tensor, Tensor]]) -> Step | None:
    if not moved:
        return None
    old, new, gradient = (torch.cat([t.cpu().double() for t in part]) for part in zip(*moved, strict=True))
    return Step(old, old - new, gradient) if bool(torch.isfinite(new).all()) else None
