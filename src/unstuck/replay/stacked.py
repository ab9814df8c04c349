"""The lanes of a trial: stacked weights and their optimizers; a step of all of them at once, or one after the other.

At once: gradients by vmap, traced once per shape. One after the other: `one_by_one`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from unstuck.remedies.treatment import Trial
from unstuck.replay.cost import Manner
from unstuck.replay.lane_optimizers import ALONE, LaneOptimizer, kind_of
from unstuck.replay.one_by_one import OneByOne
from unstuck.tape.interpreter import CannotReplay, Way, run
from unstuck.tape.model import Update
from unstuck.tape.program import Program

TRACES = 12
"""Distinct programs and shapes that are traced; further ones run untraced (slower per step, no cost to begin)."""
LONGEST = 3_000
"""Programs with more calls than this are not traced: that would cost more than the script. One lane after the other
has LONGEST_EAGER."""
LONGEST_EAGER = 20_000
"""Programs with more calls than this are not replayed."""


def unplayable(trial: Trial) -> str:
    """Why the trial cannot be replayed; "" if it can."""
    for number in {number for number, _ in trial.holders.values()}:
        optimizer = trial.tape.optimizers[number]
        if not optimizer.ours or (optimizer.kind not in ALONE and kind_of(optimizer.kind) is None):
            return f"its optimizer {optimizer.name} is its own"
    for program in _played(trial):
        if program.missing:
            return program.missing
        if len(program.calls) > LONGEST_EAGER:
            return f"its step has {len(program.calls)} calls"
    return ""


def only_one_by_one(trial: Trial) -> str:
    """Why its lanes cannot run at once; "" if they may."""
    if any(u.closure for u in trial.tape.updates):
        return "the optimizer evaluates the loss several times per step"
    if any(p.differentiates for p in _played(trial)):
        return "the loss is made of gradients"
    if any(len(p.calls) > LONGEST for p in _played(trial)):
        return "the step has too many calls to trace"
    return ""


def _played(trial: Trial) -> list[Program]:
    return [trial.programs[number] for number in sorted({p.program for p in trial.tape.passes})]


class Traces:
    """Traced steps, shared by trials that differ only in weights, rates or options."""

    def __init__(self) -> None:
        self._made: dict[Any, tuple[list[Any], Callable[..., Any]]] = {}

    def of(self, key: Any, baked: list[Any], make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
        """The trace for these shapes; made if there is none yet."""
        key = (key, *map(id, baked))
        if key not in self._made:
            self._made[key] = (baked, make())  # what is baked in is held, so that its ids mean nothing else
        return self._made[key][1]


class Lanes:
    """All lanes of one trial: stacked weights, their optimizers, and the step."""

    def __init__(
        self,
        trial: Trial,
        start: dict[str, Tensor],
        factors: Tensor,
        traces: Traces | None = None,
        manner: Manner = "at once",
    ) -> None:
        """`start`: (lanes, *shape) of each weight that is held, *shape of others; `factors`: (lanes,) multiplies each
        lane's learning rate."""
        self.trial, self.manner, self.device = trial, manner, torch.device(trial.device)
        self.factors = factors.to(self.device)
        self.traces = Traces() if traces is None else traces
        self.trained = {name: torch.nn.Parameter(start[name].to(self.device)) for name in trial.holders}
        self.fixed = {name: w.to(self.device) for name, w in start.items() if name not in trial.holders}
        self.constants = {key: t.to(self.device) for key, t in trial.constants.items()}
        numbers = sorted({n for n, _ in trial.holders.values()})
        self.optimizers = {n: LaneOptimizer(trial, n, self.trained, self.factors) for n in numbers}
        self._steps: dict[Any, Callable[..., Any]] = {}

    @property
    def bytes(self) -> int:
        """Bytes of the weights of all lanes, with a gradient and two moments each."""
        return 4 * sum(t.numel() * t.element_size() for t in self.trained.values())

    def step(
        self, program: int, outside: tuple[Tensor, ...], wanted: int | None
    ) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
        """One backward in every lane: (loss per lane, the requested value per lane, gradients by name)."""
        reached = [n for n in self.trial.programs[program].weights() if n in self.trained]
        key = (program, wanted, tuple((tuple(t.shape), t.dtype) for t in outside))
        if key not in self._steps:
            self._steps[key] = self._made(program, wanted, reached, outside)
        with torch.no_grad():
            gradients, loss, value = self._steps[key](self._stacked(reached), outside)
        return loss, value, {n: g for n, g in gradients.items() if n in self.trained}

    def _stacked(self, reached: list[str]) -> dict[str, Tensor]:
        """What the lanes differ by: their weights, or a stand-in if nothing is trained."""
        return {n: self.trained[n].detach() for n in reached} or {"": self.factors}

    def one_by_one(self, number: int, wanted: int | None) -> OneByOne:
        """The step of a program for one lane after the other."""
        return OneByOne(self.trial.programs[number], wanted, self.fixed, self.constants, self.device)

    def _made(
        self, number: int, wanted: int | None, reached: list[str], outside: tuple[Tensor, ...]
    ) -> Callable[..., Any]:
        if self.manner == "one by one":
            return self.one_by_one(number, wanted)
        program, stacked = self.trial.programs[number], self._stacked(reached)
        step = lane_step(program, wanted, self.fixed, self.constants, Way(self.device))
        if len(self._steps) >= TRACES:
            return step
        baked = [program, *(self.trial.start[n] for n in self.fixed), *self.trial.constants.values()]
        shapes = tuple((name, tuple(t.shape), t.dtype) for name, t in [*stacked.items(), *enumerate(outside)])
        return self.traces.of((wanted, shapes), baked, lambda: make_fx(step)(stacked, outside))

    def forget(self, program: int, stale: frozenset[str]) -> None:
        """Let go of the gradients that the next step of this program replaces: a copy of all lanes' weights."""
        for name in self.trial.programs[program].weights():
            if name in self.trained and name not in stale:
                self.trained[name].grad = None

    def give(self, gradients: dict[str, Tensor], stale: frozenset[str]) -> None:
        """Leave gradients in the weights; on top of what is there for those that are `stale`."""
        for name, gradient in gradients.items():
            weight = self.trained[name]
            weight.grad = weight.grad.add_(gradient) if name in stale and weight.grad is not None else gradient

    def update(self, update: Update, emptied: bool = False) -> None:
        """One optimizer step in every lane. `emptied`: the script clears the gradients just before."""
        optimizer = self.optimizers.get(update.optimizer)
        if optimizer is None:
            return
        if emptied:
            optimizer.zero_grad()
        optimizer.step(update)

    def evaluated(
        self, update: Update, program: int, outside: tuple[Tensor, ...], wanted: int | None
    ) -> tuple[Tensor, Tensor | None]:
        """One step of an optimizer that evaluates its loss several times, in every lane, on one batch.

        Returns (loss per lane, the requested value per lane) before the step.
        """
        optimizer = self.optimizers[update.optimizer]
        if optimizer.shared:
            loss, value, gradients = self.step(program, outside, wanted)
            self.give(gradients, frozenset())
            optimizer.step(update)
            return loss, value
        step = self.one_by_one(program, wanted)
        reached = self.trial.programs[program].weights()
        others = {n: w for n, w in self.trained.items() if n in reached}
        first: dict[int, tuple[Tensor, Tensor]] = {}

        def closure(lane: int) -> Tensor:
            mine = optimizer.lane_weights(lane)
            made = step.backward({n: w[lane] for n, w in others.items()}, outside)
            for name, weight in mine.items():
                weight.grad = made.gradients.get(name)
            first.setdefault(lane, (made.loss, made.value))
            return made.loss

        optimizer.step(update, closure)
        losses, values = zip(*(first[lane] for lane in sorted(first)), strict=True)
        return torch.stack(losses), torch.stack(values)


def lane_step(
    program: Program, wanted: int | None, fixed: dict[str, Tensor], constants: dict[str, Tensor], way: Way
) -> Callable[..., Any]:
    """(stacked weights, outside) -> (gradients, losses, wanted values), all with a leading lane dimension."""

    def loss(weights: dict[str, Tensor], outside: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        kept = [n for n in (program.loss, wanted) if n is not None]
        values = run(program, {**fixed, **weights}, outside, constants, way, kept)
        total = values[program.loss]
        if total.numel() != 1:
            raise CannotReplay("what it differentiates is not one number")
        total = total.reshape(())
        return total, values[wanted].detach() if wanted is not None else total.detach()

    def every(weights: dict[str, Tensor], outside: tuple[Tensor, ...]) -> tuple[Any, Tensor, Tensor]:
        step = vmap(grad_and_value(loss, has_aux=True), in_dims=(0, None), randomness="different")
        gradients, (total, value) = step(weights, outside)
        return gradients, total, value

    return every


def warm() -> None:
    """Trace and train a tiny network: pays, ahead of time, for what torch imports at the first trace."""
    weight = torch.nn.Parameter(torch.zeros(2, 3, 1))
    step = vmap(grad_and_value(lambda w, x: (x @ w).square().mean()), in_dims=(0, None), randomness="different")
    weight.grad, _ = make_fx(step)(weight.detach(), torch.ones(4, 3))(weight.detach(), torch.ones(4, 3))
    torch.optim.Adam([weight], foreach=True).step()
