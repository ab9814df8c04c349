"""The first steps of a run, each recorded whole: its program, its batch, its loss and its gradients."""

from __future__ import annotations

import math
import zlib
from collections import deque
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor

from unstuck.recording.gradients import Norms, left_over
from unstuck.recording.observed import Observed
from unstuck.recording.optimizers import Gradients
from unstuck.recording.past_calls import PastCalls
from unstuck.recording.sharding import local
from unstuck.recording.slicing import needed, without_memory
from unstuck.tape.model import Pass

PASSES = 6_000
"""Passes recorded in full; later ones leave their loss only."""
LOOKED_BACK = 6
"""Of so many passes the calls of the two steps before are kept as well, to see whether a backward reaches them."""
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
    """Records every step that it is given. `open` before a backward and `rest` at once, `close` after it."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        self._past: deque[PastCalls] = deque(maxlen=2)
        self._reaches_back = False

    @property
    def spent(self) -> bool:
        """There is no room for another step."""
        observed = self._observed
        return observed.store.full or len(observed.passes) >= PASSES or observed.programs.full

    def open(self, loss: Tensor, adds: bool = True) -> Opened:
        """Before a backward: cut the program, keep the batch, look for gradients left over.

        `adds`: the backward adds to the gradients in `.grad`, and does not return them.
        """
        observed = self._observed
        if observed.sharding.look(observed.tracer.entries):
            return Opened(local(loss), [], None)
        older = [entry for calls in self._past for entry in calls.recalled()]
        entries = needed([*older, *observed.tracer.entries], loss)
        inside = {id(e) for e in entries}
        self._reaches_back = self._reaches_back or any(id(e) in inside for e in older)
        observed.follow(entries)
        observed.evaluate(inside)
        observed.follow_exits(inside)
        entries = without_memory(entries, loss)
        number, outside = observed.programs.cut(entries, loss)
        observed.optimizers.between(observed.tracer.writes, observed.names, len(observed.passes))
        observed.row_orders.look(number, outside)
        observed.unread.step()
        observed.lineage.look(number, outside)
        keys = [observed.store.keep(t) for t in outside]
        weights = observed.programs.weights(number)
        stale = self._stale(weights) if adds else ()
        observed.meet(weights)
        observed.modes.look(number, weights, len(observed.passes))
        if None in keys:
            return Opened(loss, weights, None)
        # What the loss was given: with it a run's skill is known even where the run cannot be replayed.
        made = observed.programs.made(number, entries, outside)
        output = "" if made is None else observed.store.keep(made) or ""
        return Opened(loss, weights, Pass(number, tuple(filter(None, keys)), math.nan, stale, output, random=_random()))

    def close(self, opened: Opened, loss: float, error: str, given: Gradients | None = None) -> None:
        """After the backward: the step is on the tape, with the error that it ended in ("" for none).

        `given`: the gradients by id of their weight, where they were returned.
        """
        observed = self._observed
        observed.losses.append(loss)
        observed.tracer.wrote = observed.wrote  # from the first step on it is training that writes to known weights
        observed.graphs.mark(opened.loss)
        if opened.step is not None:
            norms = () if error else self._gradients(opened, given)
            handed = given is not None
            whole = msgspec.structs.replace(opened.step, loss=loss, gradient=norms, error=error[:400], handed=handed)
            observed.passes.append(whole)
            observed.optimizers.after_backward(
                opened.weights, observed.names, len(observed.passes), given, opened.factor
            )

    def rest(self) -> None:
        """The backward may begin: let go of what the step has made, so that the backward can free it."""
        observed = self._observed
        recent = self._reaches_back or len(observed.passes) < LOOKED_BACK
        entries = observed.tracer.entries
        observed.tracer.clear()
        if recent:  # a GAN's two losses share some calls
            self._past.append(PastCalls(entries))
        else:
            self._past.clear()

    def forget(self) -> None:
        """Let all calls go: tensors that workers share must not outlive the script's own references to them."""
        self._past.clear()

    def _stale(self, weights: list[Tensor]) -> tuple[str, ...]:
        """The weights that still hold a gradient; of a large one, a part is enough once training has begun."""
        left = left_over([t.grad for t in weights], self._now())
        return tuple(self._observed.names.of(t) for t, some in zip(weights, left, strict=True) if some)

    def _now(self) -> bool:
        """Whether this is one of the steps that are looked at closely."""
        count = len(self._observed.passes)
        return count < GRADIENTS or count % GRADIENTS == 0

    def _gradients(self, opened: Opened, given: Gradients | None) -> tuple[float, ...]:
        return gradient_norms(opened, self._observed.optimizers.norms, given) if self._now() else ()


def gradient_norms(opened: Opened, norms: Norms, given: Gradients | None = None) -> tuple[float, ...]:
    """The norm of each weight's gradient; NaN where it has none."""
    found = norms.of([t.grad if given is None else given.get(id(t)) for t in opened.weights])
    return tuple(math.nan if norm is None else norm / opened.factor for norm in found)


def _random() -> int:
    """A checksum of the state of torch's random numbers on the CPU, which stays as it is."""
    return zlib.crc32(torch.get_rng_state().numpy().tobytes())
