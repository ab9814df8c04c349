"""Once a tape is full, the rest of a run of any length is sampled, in bounded memory and next to no time.

Every step leaves its loss and its learning rates; one step in `EVERY` is watched like those before it, and leaves its
batch. What grows too long is thinned to every second of its items, so that what is kept is spread over the whole run.

Between two looks the two functions that torch calls in every step do nothing but append to a list: in a step of half a
millisecond our code is never in the processor's caches, and costs several times what it would in a loop of its own
(benchmarks/overhead.py).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from unstuck.recording.gradients import numbers
from unstuck.recording.tensor_store import TensorStore
from unstuck.recording.thinned import Thinned
from unstuck.tape.model import Pass

LOSSES = 20_000
"""Losses kept, and rates."""
BATCHES = 128
"""Watched steps kept."""
EVERY = 512
"""One step in this many is watched at first; the distance doubles whenever there are too many."""
BYTES = 64 * 2**20
"""Bytes of their batches."""
CHUNK = 512
"""Steps that may go by until the recorder looks again."""
MOST = 65_536
"""Losses that may wait if no optimizer steps."""


class Sampling:
    """What the rest of a run leaves. `attach` to see the losses of steps that are not watched; `detach` in the end."""

    def __init__(self) -> None:
        self.store = TensorStore(BYTES, "l")
        self.losses: Thinned[float] = Thinned(LOSSES)
        self.rates: Thinned[tuple[float, ...]] = Thinned(LOSSES)
        self.batches: Thinned[Pass] = Thinned(BATCHES, EVERY)
        self.watching = False
        self.factor: Callable[[], float | Tensor] = lambda: 1.0
        """What the losses are multiplied by on their way into the engine."""
        self.due, self.left, self.deadline = 0, 0.0, -math.inf
        """Backwards and steps that may go by, and the time until which they may, before the recorder looks."""
        self._losses: list[float | Tensor | None] = []
        self._far: list[float | Tensor | None] = []
        """Losses since the first that lies on another device, which is not waited for."""
        self._rates: list[list[float | Tensor]] = []
        self._original: Callable[..., Any] | None = None
        self._ours: Callable[..., Any] | None = None

    def attach(self) -> None:
        """Look at every loss on its way into the engine: all ways to it lead through this one function of torch."""
        original = self._original = torch.autograd.backward
        losses = self._losses

        def backward(tensors: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.watching:  # a watched step's loss is noted where it is watched
                try:
                    losses.append(number(tensors, self.factor()))
                except Exception:  # several losses, or several numbers: there is no one loss
                    losses.append(None)
                if len(losses) > MOST:  # nobody steps any more
                    self._sort()
            return original(tensors, *args, **kwargs)

        self._ours = torch.autograd.backward = _like(backward, original)

    def detach(self) -> None:
        """Leave torch as it was."""
        if self._ours is not None and torch.autograd.backward is self._ours:
            torch.autograd.backward = self._original  # type: ignore[assignment]

    def stand_on(self, original: Callable[..., Any], instead_of: Callable[..., Any]) -> None:
        """What is to be left in the end, where something was found in its place that was there for a while only."""
        if self._original is instead_of:
            self._original = original

    def after_step(self, look: Callable[[], None]) -> Callable[..., None]:
        """The hook after an optimizer's step of this thread: notes its rates, and calls `look` where that is due."""
        losses, rates, thread, now = self._losses, self._rates, threading.get_ident(), time.monotonic

        def hook(optimizer: Any, args: Any, kwargs: Any) -> None:
            if threading.get_ident() != thread:
                return
            try:
                rates.append([number(group["lr"]) for group in optimizer.param_groups])
            except Exception:  # a rate of some other kind
                rates.append([math.nan])
            if len(losses) >= self.due or len(rates) >= self.left or now() >= self.deadline:
                look()

        return hook

    def fold(self, step: int) -> int:
        """Put what was noted since the last look where it belongs; the number of steps, which began with `step`."""
        self._sort()
        steps = len(self._rates)
        for place, rates in enumerate(self._rates, step):
            if self.rates.wants():
                self.rates.add((place, *map(float, rates)))
            else:
                self.rates.skip()
        self._rates.clear()
        return steps

    def _sort(self) -> None:
        self.batches.skip(len(self._losses))
        if self._far or any(isinstance(loss, Tensor) for loss in self._losses):
            self._far += self._losses
            if len(self._far) >= CHUNK:
                self.read()
        else:
            self._add(self._losses)
        self._losses.clear()

    def read(self) -> None:
        """Fetch the losses that lie on another device; this waits for it."""
        far, self._far = self._far, []
        found = iter(numbers([loss for loss in far if isinstance(loss, Tensor)]))
        self._add([next(found) if isinstance(loss, Tensor) else loss for loss in far])

    def _add(self, losses: Sequence[float | Tensor | None]) -> None:
        for loss in losses:
            self.losses.skip() if loss is None else self.losses.add(float(loss))

    def note(self, loss: Tensor) -> None:
        """The loss of a watched backward."""
        self.read()
        self.losses.add(float(loss.detach())) if loss.numel() == 1 else self.losses.skip()

    def keep(self, tensors: tuple[Tensor, ...]) -> tuple[str, ...]:
        """The keys of tensors of a watched step; where there is no room, half of what was kept goes first."""
        keys = tuple(self.store.keep(t) for t in tensors)
        if None in keys:
            self.batches.thin()
            self._sweep()
            keys = tuple(self.store.keep(t) for t in tensors)
        return tuple(key or "" for key in keys)

    def add(self, one: Pass | None) -> None:
        """A watched step; None where it could not be kept."""
        before = self.batches.every
        self.batches.miss() if one is None else self.batches.add(one)
        if self.batches.every != before:
            self._sweep()

    def _sweep(self) -> None:
        self.store.only({key for _, p in self.batches for key in (*p.outside, p.output)})


def number(value: Any, factor: float | Tensor = 1.0) -> float | Tensor:
    """A tensor of one number over a factor, or a plain one; a copy where it lies on another device than the CPU."""
    if not isinstance(value, Tensor) or value.device.type == "cpu":
        return float(value) / float(factor)
    if value.numel() != 1:
        raise ValueError("not one number")
    return value.detach().reshape(()) / factor


def _like(ours: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(ours, name, getattr(original, name))
    ours.__wrapped__ = original  # type: ignore[attr-defined]
    return ours
