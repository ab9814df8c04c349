"""The recorded training again, one plain step after the other: to reach the weights before a later step."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from unstuck.micro.step import Recorded, Step, Weights
from unstuck.tape.interpreter import CannotReplay
from unstuck.tape.model import Tape, Update

STAND_INS = {"by hand": "SGD", "SparseAdam": "Adam"}
CHOICES = {"params", "fused", "foreach", "capturable", "differentiable", "decoupled_weight_decay"}
"""Options that choose an implementation: left to torch."""


def ready() -> None:
    """Make an optimizer: what torch imports for its first one takes seconds, and those are no experiment's."""
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.0)


class Training:
    """The run from its first weights on. `at`: how many passes are over."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded, self.at = recorded, 0
        self.weights: Weights = {n: w.detach().clone() for n, w in recorded.start.items()}
        self._held = {n: self.weights[n] for n in recorded.trained}
        self.optimizers = optimizers_of(recorded.tape, self._held)
        self._updates: dict[int, list[Update]] = {}
        for update in recorded.tape.updates:
            self._updates.setdefault(update.after, []).append(update)

    def step(self) -> Step:
        """The step of the next pass, at the weights that it is made from."""
        return self.recorded.step(self.at, self.weights)

    def advance(self, gradients: Weights) -> None:
        """Leave the next pass's gradients in the weights and make the updates that follow it."""
        p = self.recorded.tape.passes[self.at]
        for name in self.recorded.tape.programs[p.program].weights():
            if (weight := self._held.get(name)) is not None:
                kept = weight.grad if name in p.stale else None
                given = gradients.get(name)
                weight.grad = given if kept is None else kept if given is None else kept + given
        self.at += 1
        for update in self._updates.get(self.at, ()):
            self._update(update)

    def _update(self, update: Update) -> None:
        optimizer = self.optimizers.get(update.optimizer)
        if optimizer is None:
            return
        if update.closure:
            raise CannotReplay("its optimizer evaluates the loss several times in a step")
        if update.empty:
            optimizer.zero_grad()
        if update.fresh:
            optimizer.state.clear()
        step(optimizer, self.recorded.tape.optimizers[update.optimizer].clip, update.rates)


def step(optimizer: torch.optim.Optimizer, clip: float | None, rates: Iterable[float] = ()) -> None:
    """One step at these rates, with the gradient clipped as the script clips it."""
    given = list(rates)
    for group in optimizer.param_groups:
        rate = given[group["number"]] if group["number"] < len(given) else math.nan
        group["lr"] = group["lr"] if math.isnan(rate) else rate
    if clip is not None:
        torch.nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], clip)
    optimizer.step()


def optimizers_of(tape: Tape, held: Weights) -> dict[int, torch.optim.Optimizer]:
    """The recorded optimizers over other tensors, by number; CannotReplay for one that is not of torch's classes."""
    made = {}
    for number, recorded in enumerate(tape.optimizers):
        mine = {p.name: p.group for p in tape.parameters if p.optimizer == number and p.name in held}
        if not mine:
            continue
        kind = getattr(torch.optim, STAND_INS.get(recorded.kind, recorded.kind), None)
        if not recorded.ours or kind is None or "line_search_fn" in inspect.signature(kind.__init__).parameters:
            raise CannotReplay(f"its optimizer ({recorded.name}) cannot be built again")
        groups = [
            {**usable(options, kind), "number": i, "params": [held[n] for n, group in mine.items() if group == i]}
            for i, options in enumerate(recorded.groups)
        ]
        made[number] = kind([group for group in groups if group["params"]])
    return made


def usable(options: dict[str, Any], kind: type) -> dict[str, Any]:
    """The options that this class takes."""
    taken = set(inspect.signature(kind.__init__).parameters) - CHOICES
    return {k: tuple(v) if isinstance(v, list) else v for k, v in options.items() if k in taken and v is not None}


def finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no number in them is NaN or infinite."""
    return all(bool(torch.isfinite(t).all()) for t in tensors if t.is_floating_point())
