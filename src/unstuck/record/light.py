"""The light mode: once a tape is full, the rest of a run of any length, in bounded memory and next to no time.

Every step leaves its loss and its rates; every so many steps one is watched like those before it, and leaves its batch.
What grows too long is thinned to every second of its items, so that what is kept is spread over the whole run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from unstuck.record.shelf import Shelf
from unstuck.tape import Pass

LOSSES = 20_000
"""Losses kept, and rates."""
BATCHES = 128
"""Watched steps kept."""
EVERY = 512
"""One step in so many is watched at first; the distance doubles whenever there are too many."""
BYTES = 64 * 2**20
"""Of their batches."""

Item = TypeVar("Item")


class Thinned(Generic[Item]):
    """At most `limit` items of a series of any length, evenly spread over it: every one, then every second, ..."""

    def __init__(self, limit: int, every: int = 1) -> None:
        self.limit, self.every, self.seen = limit, every, 0
        self._kept: list[tuple[int, Item]] = []

    def __iter__(self) -> Iterator[tuple[int, Item]]:
        """The items kept, each with its place in the series."""
        yield from self._kept

    def wants(self) -> bool:
        """Whether the next item will be kept."""
        return self.seen % self.every == 0

    def add(self, item: Item) -> None:
        """The next item of the series."""
        if self.wants():
            self._kept.append((self.seen, item))
        self.seen += 1
        if len(self._kept) > self.limit:
            self.thin()

    def skip(self) -> None:
        """The next item is one that is not wanted, or cannot be had."""
        self.seen += 1

    def thin(self) -> None:
        """Keep every second item only, from now on too."""
        self.every *= 2
        self._kept = [(place, item) for place, item in self._kept if place % self.every == 0]


class Light:
    """What the rest of a run leaves. `attach` to see the losses of steps that are not watched; `detach` in the end."""

    def __init__(self) -> None:
        self.shelf = Shelf(BYTES, "l")
        self.losses: Thinned[float] = Thinned(LOSSES)
        self.rates: Thinned[tuple[float, ...]] = Thinned(LOSSES)
        self.batches: Thinned[Pass] = Thinned(BATCHES, EVERY)
        self.watching = False
        self._original: Callable[..., Any] | None = None
        self._ours: Callable[..., Any] | None = None

    def attach(self) -> None:
        """Look at every loss on its way into the engine: all ways to it lead through this one function of torch."""
        original = self._original = torch.autograd.backward

        def backward(tensors: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.watching:  # a watched step's loss is noted where it is watched
                self.note(tensors)
                self.batches.skip()
            return original(tensors, *args, **kwargs)

        self._ours = torch.autograd.backward = _like(backward, original)

    def detach(self) -> None:
        """Leave torch as it was."""
        if self._ours is not None and torch.autograd.backward is self._ours:
            torch.autograd.backward = self._original  # type: ignore[assignment]

    def note(self, loss: Any) -> None:
        """A backward: its loss, if this one is kept."""
        if self.losses.wants() and isinstance(loss, Tensor) and loss.numel() == 1:
            self.losses.add(float(loss.detach()))
        else:
            self.losses.skip()

    def step(self, step: int, optimizer: Any) -> None:
        """An optimizer has stepped: its rates, if this one is kept."""
        if not self.rates.wants():
            self.rates.skip()
            return
        rates = (group.get("lr") for group in optimizer.param_groups)
        self.rates.add((step, *(float(r) if isinstance(r, int | float | Tensor) else float("nan") for r in rates)))

    def keep(self, tensors: tuple[Tensor, ...]) -> tuple[str, ...]:
        """The keys of tensors of a watched step; where there is no room, half of what was kept goes first."""
        keys = tuple(self.shelf.keep(t) for t in tensors)
        if None in keys:
            self.batches.thin()
            self._sweep()
            keys = tuple(self.shelf.keep(t) for t in tensors)
        return tuple(key or "" for key in keys)

    def add(self, one: Pass | None) -> None:
        """A watched step; None where it could not be kept."""
        before = self.batches.every
        self.batches.skip() if one is None else self.batches.add(one)
        if self.batches.every != before:
            self._sweep()

    def _sweep(self) -> None:
        self.shelf.only({key for _, p in self.batches for key in (*p.outside, p.output)})


def _like(ours: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(ours, name, getattr(original, name))
    ours.__wrapped__ = original  # type: ignore[attr-defined]
    return ours
