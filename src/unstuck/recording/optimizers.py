"""Which optimizers step, at what learning rates, what they hold, and what the loop does around them."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, NamedTuple

import msgspec
from torch import Tensor

from unstuck.recording.constructions import Constructions
from unstuck.recording.gradients import Norms, total
from unstuck.recording.hand_updates import HandUpdates
from unstuck.recording.open_steps import OpenStep, OpenSteps, Stepped, real
from unstuck.recording.parameter_names import Names
from unstuck.recording.seen_optimizers import SeenOptimizers, numbered
from unstuck.recording.sharding import distributed
from unstuck.recording.weight_writes import WeightWrites
from unstuck.tape.model import Optimizer, Parameter, Update

NORMS = 40
"""The whole gradient's norm is taken for the first steps, then for every such one."""

Gradients = dict[int, Tensor]


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
        self.norms = Norms()
        self._norm_after_backward: float | None = None
        self._since_backward = True
        """There was a step since the last backward."""
        self._zeroed = False

    # -- weights -----------------------------------------------------------------------------------------------------

    def meet(self, weight: Tensor, names: Names) -> None:
        """A weight is seen for the first time, before any backward through it."""
        self._weights[names.of(weight)] = Weight(weight, weight.requires_grad, *names.owner(weight))

    @property
    def since_backward(self) -> bool:
        """Whether there was a step since the last backward, or no backward yet."""
        return self._since_backward

    def holds(self, tensor: Tensor) -> bool:
        """Whether an optimizer that has stepped holds a tensor."""
        return self._seen.holds(tensor)

    def place(self, optimizer: Any) -> int:
        """The place of an optimizer that has stepped among those seen; `number` gives its number on the tape."""
        return self._seen.of(optimizer)

    def number(self, place: int) -> int:
        """The number on the tape of the optimizer at a place (-1: it is not on it)."""
        return self._seen.items[place].number if place >= 0 else -1

    def parameters(self, names: Names, kept: set[str]) -> tuple[Parameter, ...]:
        """The weights met, with the optimizers that hold them."""
        self._updates()
        return tuple(self._parameter(name, met) for name, met in self._weights.items() if f"w:{name}" in kept)

    def _parameter(self, name: str, met: Weight) -> Parameter:
        key = id(met.tensor)
        holder = next(
            ((s.number, s.group_of[key]) for s in self._seen.items if key in s.group_of and s.number >= 0), (-1, 0)
        )
        if holder[0] < 0:
            holder = (next((s.number for s in self._seen.items if name in s.names and s.number >= 0), -1), 0)
        made, valued = self._constructions.of_weight(met.tensor), self._constructions.of_values(met.tensor)
        dtype = str(met.tensor.dtype).removeprefix("torch.")
        return Parameter(
            name,
            tuple(met.tensor.shape),
            dtype,
            met.trainable,
            *holder,
            met.owner,
            met.root,
            made=made,
            valued=valued,
            unfrozen=met.tensor.requires_grad and not met.trainable,
            fresh=self._constructions.values.fresh(met.tensor),
            loaded=self._constructions.of_load(met.tensor),
        )

    # -- backward, and updates written by hand -----------------------------------------------------------------------

    def after_backward(
        self, weights: list[Tensor], names: Names, passes: int, given: Gradients | None = None, factor: float = 1.0
    ) -> None:
        """Take the norm that clipping is later seen against, and what hand-written updates are compared with.

        `given`: the gradients by id of their weight, where the script asked for them and they are not in `.grad`.
        `factor`: they are larger by this than those that the optimizer will be given.
        """
        found = {names.of(t): g for t in weights if (g := t.grad if given is None else given.get(id(t))) is not None}
        if passes <= NORMS:
            norm = self._norm(list(found.values()))
            self._norm_after_backward = None if norm is None else norm / factor
        if not self.stepped or self._seen.by_hand:
            self._by_hand.look(found, {names.of(t): t for t in weights})
        self._since_backward = False

    def between(self, writes: WeightWrites, names: Names, passes: int) -> None:
        """Look for weights that were set since the last backward without a step that torch knows of."""
        if self._open.under_way():
            return
        if self._since_backward:
            self._by_hand.forget()
            return
        written = frozenset(names.of(t) for t in writes.written if t in names)
        moved = self._by_hand.take(written, names.tensors())
        if moved is None:
            return
        index, one = self._seen.writing(moved.names, writes)
        rate, rates = one.history.add(moved.step), writes.rates
        self._steps.append(Stepped(Update(index, passes, rates if rates or rate is None else (rate,))))
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

    def _norm(self, gradients: list[Tensor | None]) -> float | None:
        if any(g is not None and distributed(g) for g in gradients):
            return None
        return total(self.norms.of(gradients))

    def _norm_of(self, step: OpenStep) -> float | None:
        if self.steps >= NORMS and self.steps % NORMS != 0:
            return None
        norm = self._norm([p.grad for p in step.weights])
        if self._norm_after_backward and norm and len(self._clips) < NORMS and not self._since_backward:
            self._clips.append((self._norm_after_backward, norm))
        return norm

    def late_step(self, optimizer: Any, passes: int) -> None:
        """An optimizer has stepped since the last backward; what gradient it was given cannot be seen any more."""
        rates = tuple(_number(group.get("lr")) for group in optimizer.param_groups)
        self._steps.append(Stepped(Update(self._seen.of(optimizer), passes, rates)))
        self._since_backward = self.stepped = True
        self.steps += 1

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
            msgspec.structs.replace(
                s.optimizer(),
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
