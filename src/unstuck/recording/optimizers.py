"""Which optimizers step, at what learning rates, what they hold, and what the loop does around them."""

from __future__ import annotations

import math
import weakref
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import torch
from torch import Tensor

from unstuck.recording.hand_updates import COMPARED, HandUpdates
from unstuck.recording.parameter_names import Names
from unstuck.tape.model import Optimizer, Parameter, Update

NORMS = 40
"""The whole gradient's norm is taken for the first steps, then for every such one."""
BY_HAND = "by hand"
"""The name, on a tape, of the optimizer that a script's own updates are."""


@dataclass
class Seen:
    """An optimizer as it was at its first step."""

    name: str
    groups: tuple[dict[str, Any], ...] = ({},)
    ours: bool = False
    group_of: dict[int, int] = field(default_factory=dict)
    """The number of the group of each of its tensors, by id."""
    tensors: list[Tensor] = field(default_factory=list)
    """Held here too, so that an id cannot come to mean another tensor."""
    number: int = -1
    """On the tape; optimizers that follow each other on the same weights share one."""
    first: bool = True
    """The first of those."""


class Weight(NamedTuple):
    """A weight as it was before the first backward through it."""

    tensor: Tensor
    trainable: bool
    owner: str
    root: str


class OptimizerObserver:
    """Collects; everything it returns is plain data."""

    def __init__(self) -> None:
        self.steps = 0
        """Optimizer steps of the run, recorded or only counted."""
        self.stepped = False
        """An optimizer of torch has stepped: its hooks see every further step."""
        self._seen: list[Seen] = []
        self._index: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._weights: dict[str, Weight] = {}
        self._updates: list[Update] = []
        self._by_hand = HandUpdates()
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
        self._number()
        return tuple(self._parameter(name, met) for name, met in self._weights.items() if f"w:{name}" in kept)

    def _parameter(self, name: str, met: Weight) -> Parameter:
        key = id(met.tensor)
        holder = next(((s.number, s.group_of[key]) for s in self._seen if key in s.group_of), (-1, 0))
        if holder[0] < 0 and key in self._by_hand.written:
            holder = (next(s.number for s in self._seen if s.name == BY_HAND), 0)
        dtype = str(met.tensor.dtype).removeprefix("torch.")
        return Parameter(name, tuple(met.tensor.shape), dtype, met.trainable, *holder, met.owner, met.root)

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
        if not self._by_hand.take([t for t in set_by_script if t in names], self._since_backward):
            return
        index = next((i for i, s in enumerate(self._seen) if s.name == BY_HAND), len(self._seen))
        if index == len(self._seen):
            self._seen.append(Seen(BY_HAND))
        rates = self._by_hand.rates
        if rates:
            self._seen[index].ours, self._seen[index].groups = True, ({"lr": rates[0]},)
        self._updates.append(Update(index, passes, tuple(rates[-1:])))
        self.steps += 1
        self._since_backward = True

    # -- optimizers --------------------------------------------------------------------------------------------------

    def before_step(self, optimizer: Any, closure: bool, passes: int) -> None:
        """An optimizer is about to step: note it, its rates, and its gradient's norm."""
        index = self._of(optimizer)
        rates = tuple(_number(group.get("lr")) for group in optimizer.param_groups)
        norm = None
        if self.steps < NORMS or self.steps % NORMS == 0:
            norm = _norm([p.grad for group in optimizer.param_groups for p in group["params"]])
            if self._norm_after_backward and norm and len(self._clips) < NORMS and not self._since_backward:
                self._clips.append((self._norm_after_backward, norm))
        self._updates.append(Update(index, passes, rates, norm, closure, self._is_empty(optimizer, norm)))
        self._since_backward = True

    def _is_empty(self, optimizer: Any, norm: float | None) -> bool:
        """No gradient reaches the step, although the backward before it made some."""
        if all(p.grad is None for group in optimizer.param_groups for p in group["params"]):
            return True
        if norm is not None and self._norm_after_backward:
            self._zeroed = norm == 0.0
        return self._zeroed

    def _of(self, optimizer: Any) -> int:
        if optimizer not in self._index:
            self._seen.append(_seen(optimizer))
            self._index[optimizer] = len(self._seen) - 1
            self.stepped = True
        return self._index[optimizer]

    def optimizers(self) -> tuple[Optimizer, ...]:
        """Every optimizer that stepped, in the order of its first step; those that took turns count as one."""
        self._number()
        reached = {id(met.tensor) for met in self._weights.values()}
        turns = Counter(s.number for s in self._seen)
        return tuple(
            Optimizer(
                name=s.name,
                groups=s.groups,
                ours=s.ours and not (s.name == BY_HAND and self._by_hand.other > 1),
                held=len(s.tensors),
                foreign=sum(key not in reached for key in s.group_of),
                clip=self._clip() if len(turns) == 1 else None,
                created=turns[s.number],
            )
            for s in self._seen
            if s.first
        )

    def updates(self) -> tuple[Update, ...]:
        """Every step, in order."""
        self._number()
        begun: set[int] = set()
        found = []
        for update in self._updates:
            seen = self._seen[update.optimizer]
            fresh = not seen.first and update.optimizer not in begun
            begun.add(update.optimizer)
            found.append(msgspec.structs.replace(update, optimizer=seen.number, fresh=fresh))
        return tuple(found)

    def _number(self) -> None:
        """Give every optimizer its number on the tape."""
        last = {u.optimizer: at for at, u in enumerate(self._updates)}
        first = {u.optimizer: at for at, u in reversed(list(enumerate(self._updates)))}
        alike: dict[Any, list[int]] = {}
        keys = [(s.name, frozenset(s.group_of.items())) if s.group_of else i for i, s in enumerate(self._seen)]
        for index, key in enumerate(keys):
            alike.setdefault(key, []).append(index)
        turns = {key: all(last.get(a, -1) < first.get(b, 0) for a, b in pairwise(mine)) for key, mine in alike.items()}
        count = 0
        for index, (seen, key) in enumerate(zip(self._seen, keys, strict=True)):
            seen.first = not turns[key] or alike[key][0] == index
            seen.number = count if seen.first else self._seen[alike[key][0]].number
            count += seen.first

    def _clip(self) -> float | None:
        """The bound a script clips to: the gradient's norm shrank to one and the same number, and never passed it."""
        shrunk = [after for before, after in self._clips if after < before * (1 - 1e-4)]
        if len(shrunk) < 2 or max(shrunk) > min(shrunk) * 1.01:
            return None
        bound = max(shrunk)
        return bound if all(after <= bound * 1.01 for _, after in self._clips) else None


def _seen(optimizer: Any) -> Seen:
    kind = type(optimizer)
    ours = kind.__module__.startswith("torch.optim") and kind is getattr(torch.optim, kind.__name__, None)
    groups = tuple({k: _plain(v) for k, v in g.items() if k != "params"} for g in optimizer.param_groups)
    group_of = {id(p): number for number, g in enumerate(optimizer.param_groups) for p in g["params"]}
    return Seen(kind.__name__, groups, ours, group_of, [p for g in optimizer.param_groups for p in g["params"]])


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return float(value) if value.numel() == 1 else None
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value if value is None or isinstance(value, bool | int | float | str) else None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float | Tensor) else math.nan


def _norm(gradients: list[Tensor | None]) -> float | None:
    dense = [g.detach() for g in gradients if g is not None]
    dense = [g.coalesce().values() if g.is_sparse else g for g in dense]
    return float(torch.stack([g.float().norm() for g in dense]).norm()) if dense else None
