"""Which optimizers step, at what learning rates, what they hold, and what the loop does around them."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unstuck.recording.constructions import Constructions
from unstuck.recording.hand_updates import COMPARED, HandUpdates
from unstuck.recording.open_steps import OpenStep, OpenSteps, Stepped, real
from unstuck.recording.parameter_names import Names
from unstuck.recording.seen_optimizers import BY_HAND, Seen, SeenOptimizers, numbered
from unstuck.tape.model import Optimizer, Parameter, Update

NORMS = 40
"""The whole gradient's norm is taken for the first steps, then for every such one."""


class Weight(NamedTuple):
    """A weight as it was before the first backward through it."""

    tensor: Tensor
    trainable: bool
    owner: str
    root: str


class OptimizerObserver:
    """Collects; everything it returns is plain data."""

    def __init__(self, constructions: Constructions) -> None:
        self._constructions = constructions
        self.steps = 0
        """Optimizer steps of the run, recorded or only counted."""
        self.stepped = False
        """An optimizer of torch has stepped: its hooks see every further step."""
        self._seen = SeenOptimizers(constructions)
        self._weights: dict[str, Weight] = {}
        self._steps: list[Stepped] = []
        self._by_hand = HandUpdates()
        self._open = OpenSteps()
        self._clips: list[tuple[float, float]] = []
        self._norm_after_backward: float | None = None
        self._since_backward = True
        """There was a step since the last backward."""
        self._zeroed = False

    # -- weights -----------------------------------------------------------------------------------------------------

    def meet(self, weight: Tensor, names: Names) -> None:
        """A weight is seen for the first time, before any backward through it."""
        self._weights[names.of(weight)] = Weight(weight, weight.requires_grad, *names.owner(weight))

    def parameters(self, names: Names, kept: set[str]) -> tuple[Parameter, ...]:
        """The weights met, with the optimizers that hold them."""
        self._updates()
        return tuple(self._parameter(name, met) for name, met in self._weights.items() if f"w:{name}" in kept)

    def _parameter(self, name: str, met: Weight) -> Parameter:
        key = id(met.tensor)
        holder = next(
            ((s.number, s.group_of[key]) for s in self._seen.items if key in s.group_of and s.number >= 0), (-1, 0)
        )
        if holder[0] < 0 and key in self._by_hand.written:
            holder = (next(s.number for s in self._seen.items if s.name == BY_HAND), 0)
        made = self._constructions.of_weight(met.tensor)
        dtype = str(met.tensor.dtype).removeprefix("torch.")
        return Parameter(name, tuple(met.tensor.shape), dtype, met.trainable, *holder, met.owner, met.root, made=made)

    # -- backward, and updates written by hand -----------------------------------------------------------------------

    def after_backward(self, weights: list[Tensor], passes: int) -> None:
        """Take the norm that clipping is later seen against, and what hand-written updates are compared with."""
        if passes <= NORMS:
            self._norm_after_backward = _norm([t.grad for t in weights])
        if passes <= COMPARED:
            self._by_hand.snapshot(weights)
        self._since_backward = False

    def between(self, set_by_script: list[Tensor], names: Names, passes: int) -> None:
        """Look for weights set by the script itself since the last backward."""
        if self._open.under_way():
            return
        if not self._by_hand.take([t for t in set_by_script if t in names], self._since_backward):
            return
        items = self._seen.items
        index = next((i for i, s in enumerate(items) if s.name == BY_HAND), len(items))
        if index == len(items):
            items.append(Seen(BY_HAND))
        rates = self._by_hand.rates
        if rates:
            items[index].ours, items[index].groups = True, ({"lr": rates[0]},)
        self._steps.append(Stepped(Update(index, passes, tuple(rates[-1:]))))
        self.steps += 1
        self._since_backward = True

    # -- optimizers --------------------------------------------------------------------------------------------------

    def begin_step(self, optimizer: Any, closure: bool, passes: int) -> OpenStep:
        """An optimizer is about to step: take its gradient's norm, which it may clear; a closure makes it only then."""
        step = self._open.begin(optimizer, passes, closure)
        step.norm = None if closure else self._norm_of(step)
        step.empty = not closure and self._is_empty(step)
        return step

    def end_step(self, optimizer: Any, passes: int) -> bool:
        """An optimizer has stepped; whether that was a step of its own and not a part of another's."""
        step = self._open.end(optimizer)
        if step is None:
            return False
        finished = Stepped(self._update(step, passes), tuple(step.inner), step.hands_on())
        self._since_backward = self.stepped = True
        if self._open.within(step, finished):
            return False
        self._steps.append(finished)
        self.steps += 1
        return True

    def _update(self, step: OpenStep, passes: int) -> Update:
        """What a finished step was: an ordinary one comes after the backwards that its closure made."""
        index, several, made = self._seen.of(step.optimizer), step.several, passes - step.passes
        if step.closure and not several:
            step.norm = self._norm_of(step)
            step.empty = self._is_empty(step)
        rates = tuple(_number(group.get("lr")) for group in step.optimizer.param_groups)
        after = step.passes if several else passes
        return Update(index, after, rates, step.norm, several, step.empty, evaluations=made if several else 0)

    def _norm_of(self, step: OpenStep) -> float | None:
        if self.steps >= NORMS and self.steps % NORMS != 0:
            return None
        norm = _norm([p.grad for p in step.weights])
        if self._norm_after_backward and norm and len(self._clips) < NORMS and not self._since_backward:
            self._clips.append((self._norm_after_backward, norm))
        return norm

    def _is_empty(self, step: OpenStep) -> bool:
        """No gradient reaches the step, although the backward before it made some."""
        if all(p.grad is None for p in step.weights):
            return True
        if step.norm is not None and self._norm_after_backward:
            self._zeroed = step.norm == 0.0
        return self._zeroed

    def _updates(self) -> list[Update]:
        """The steps that count, in order, by the places of their optimizers among those seen."""
        updates = [one.update for one in real(self._steps)]
        self._seen.number(updates)
        return updates

    def optimizers(self) -> tuple[Optimizer, ...]:
        """Every optimizer that stepped, in the order of its first step; those that took turns count as one."""
        self._updates()
        reached = {id(met.tensor) for met in self._weights.values()}
        turns = Counter(s.number for s in self._seen.items if s.number >= 0)
        return tuple(
            Optimizer(
                name=s.name,
                groups=s.groups,
                ours=s.ours and not (s.name == BY_HAND and self._by_hand.other > 1),
                held=len(s.tensors),
                foreign=sum(key not in reached for key in s.group_of),
                clip=self._clip() if len(turns) == 1 else None,
                created=turns[s.number],
                made=s.made,
            )
            for s in self._seen.items
            if s.first
        )

    def updates(self) -> tuple[Update, ...]:
        """Every step, in order."""
        return numbered(self._updates(), self._seen.items)

    def _clip(self) -> float | None:
        """The bound a script clips to: the gradient's norm shrank to one and the same number, and never passed it."""
        shrunk = [after for before, after in self._clips if after < before * (1 - 1e-4)]
        if len(shrunk) < 2 or max(shrunk) > min(shrunk) * 1.01:
            return None
        bound = max(shrunk)
        return bound if all(after <= bound * 1.01 for _, after in self._clips) else None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float | Tensor) else math.nan


def _norm(gradients: list[Tensor | None]) -> float | None:
    dense = [g.detach() for g in gradients if g is not None]
    dense = [g.coalesce().values() if g.is_sparse else g for g in dense]
    return float(torch.stack([g.float().norm() for g in dense]).norm()) if dense else None
