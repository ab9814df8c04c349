"""The first steps of a run, each recorded whole: its program, its batch, its loss and its gradients."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
from torch import Tensor

from unstuck.recording.observed import Observed
from unstuck.recording.optimizers import Gradients
from unstuck.recording.sharding import local
from unstuck.recording.slicing import needed
from unstuck.recording.tracer import Entry
from unstuck.tape.model import Pass

PASSES = 6_000
"""Passes recorded in full; later ones leave their loss only."""
LOOKED_BACK = 6
"""Of so many passes the calls of the two steps before are kept as well, to see whether a backward reaches them."""
HELD = 128 * 2**20
"""... but not if they hold more bytes than this: a heavy step's activations would be in memory three times."""
GRADIENTS = 40
"""Gradient norms are taken for the first passes, then for every such one."""


class Opened(NamedTuple):
    """A backward that is under way."""

    loss: Tensor
    weights: list[Tensor]
    step: Pass | None
    """What is known of it; None where one of its tensors found no room."""
    sampled: bool = False
    factor: float = 1.0
    """What the loss was multiplied by before the backward, and its gradients with it."""


class FullSteps:
    """Records every step that it is given. `open` before a backward, `close` after it, then `turn`."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        self._older: list[Entry] = []
        self._last: list[Entry] = []
        self._reaches_back = False
        self._keeps = False
        """The calls of the step that is under way are kept for the next two."""

    @property
    def spent(self) -> bool:
        """There is no room for another step."""
        observed = self._observed
        return observed.store.full or len(observed.passes) >= PASSES or observed.programs.full

    def open(self, loss: Tensor, adds: bool = True) -> Opened:
        """Before a backward: cut the program, keep the batch, look for gradients left over.

        `adds`: the backward adds to the gradients in `.grad`, and does not return them. The calls are let go here where
        no later step can need them: autograd frees activations as it goes, and so must the recording.
        """
        opened, tracer = self._opened(loss, adds), self._observed.tracer
        looks = len(self._observed.passes) < LOOKED_BACK and _bytes(tracer.entries) <= HELD
        self._keeps = self._reaches_back or looks
        if not self._keeps:
            self._older, self._last = [], []
            tracer.clear()
        return opened

    def _opened(self, loss: Tensor, adds: bool) -> Opened:
        observed = self._observed
        if observed.sharding.look(observed.tracer.entries):
            return Opened(local(loss), [], None)
        entries = needed([*self._older, *observed.tracer.entries], loss)
        inside = {id(e) for e in entries}
        self._reaches_back = self._reaches_back or any(id(e) in inside for e in self._older)
        observed.follow(entries)
        observed.evaluate(inside)
        number, outside = observed.programs.cut(entries, loss)
        observed.optimizers.between(observed.tracer.writes, observed.names, len(observed.passes))
        keys = [observed.store.keep(t) for t in outside]
        weights = observed.programs.weights(number)
        left = (t for t in weights if adds and t.grad is not None and bool(t.grad.any()))
        stale = tuple(observed.names.of(t) for t in left)
        observed.meet(weights)
        observed.modes.look(number, weights, len(observed.passes))
        if None in keys:
            return Opened(loss, weights, None)
        # What the loss was given: with it a run's skill is known even where the run cannot be replayed.
        made = observed.programs.made(number, entries, outside)
        output = "" if made is None else observed.store.keep(made) or ""
        return Opened(loss, weights, Pass(number, tuple(filter(None, keys)), math.nan, stale, output))

    def close(self, opened: Opened, loss: float, error: str, given: Gradients | None = None) -> None:
        """After the backward: the step is on the tape, with the error that it ended in ("" for none).

        `given`: the gradients by id of their weight, where they were returned.
        """
        observed = self._observed
        observed.losses.append(loss)
        observed.tracer.wrote = None  # from the first step on it is training that writes
        observed.graphs.mark(opened.loss)
        if opened.step is not None:
            norms = () if error else self._gradients(opened, given)
            whole = msgspec.structs.replace(opened.step, loss=loss, gradient=norms, error=error[:400])
            observed.passes.append(whole)
            observed.optimizers.after_backward(
                opened.weights, observed.names, len(observed.passes), given, opened.factor
            )

    def turn(self) -> None:
        """Forget the step, but for the calls that a later backward may still reach (a GAN's two losses share some)."""
        tracer = self._observed.tracer
        self._older = [*self._last, *tracer.entries] if self._keeps else []
        self._last = tracer.entries if self._keeps else []
        tracer.clear()

    def forget(self) -> None:
        """Let all calls go: tensors that workers share must not outlive the script's own references to them."""
        self._older, self._last = [], []

    def _gradients(self, opened: Opened, given: Gradients | None) -> tuple[float, ...]:
        count = len(self._observed.passes)
        return gradient_norms(opened, given) if count < GRADIENTS or count % GRADIENTS == 0 else ()


def _bytes(entries: list[Entry]) -> int:
    """Bytes of what the calls made, each tensor by itself."""
    return sum(t.numel() * t.element_size() for entry in entries for t in entry.results)


def gradient_norms(opened: Opened, given: Gradients | None = None) -> tuple[float, ...]:
    """The norm of each weight's gradient; NaN where it has none."""
    found = [t.grad if given is None else given.get(id(t)) for t in opened.weights]
    return tuple(math.nan if g is None else float(g.detach().float().norm()) / opened.factor for g in found)
