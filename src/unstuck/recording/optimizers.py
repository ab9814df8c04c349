"""The loop's manners: which optimizers step, at what rates, what they hold, and what the loop does around them."""

from __future__ import annotations

import math
import weakref
from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec
import torch
from torch import Tensor

from unstuck.recording.parameter_names import Names
from unstuck.tape.model import Optimizer, Parameter, Update

NORMS = 40
"""The whole gradient's norm is taken for the first steps, then for every such one."""
BY_HAND = 8
"""Hand-written updates are compared with the gradient for so many steps."""
EXACT = 1e-3
"""A hand-written update is plain descent if it differs from rate x gradient by less than this share."""


class Manners:
    """Collects; everything it returns is plain data."""

    def __init__(self) -> None:
        self.steps = 0
        self._updates: list[Update] = []
        self._found: list[dict[str, Any]] = []
        self._index: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._met: dict[str, dict[str, Any]] = {}
        self._norm_after_backward: float | None = None
        self._clips: list[tuple[float, float]] = []
        self._snapshots: list[tuple[Tensor, Tensor, Tensor]] = []
        self._by_hand: list[float] = []
        self._written: set[int] = set()
        self._odd_writes = 0
        self._made: list[int] = []
        self._stepped_since = True
        self._zeroed = False

    @property
    def has_optimizer(self) -> bool:
        """Some optimizer of torch has stepped: its hooks see every further step."""
        return bool(self._made)

    # -- weights -----------------------------------------------------------------------------------------------------

    def meet(self, weight: Tensor, names: Names) -> None:
        """A weight is seen for the first time, before any backward through it."""
        owner, root = names.owner(weight)
        name = names.of(weight)
        self._met[name] = {"tensor": weight, "trainable": weight.requires_grad, "owner": owner, "root": root}

    def parameters(self, names: Names, kept: set[str]) -> tuple[Parameter, ...]:
        """The weights met, with their holders."""
        self._seat()
        return tuple(self._parameter(name, met) for name, met in self._met.items() if f"w:{name}" in kept)

    def _parameter(self, name: str, met: dict[str, Any]) -> Parameter:
        tensor: Tensor = met["tensor"]
        holder = next(((f["seat"], f["held"][id(tensor)]) for f in self._found if id(tensor) in f["held"]), (-1, 0))
        if holder[0] < 0 and id(tensor) in self._written:
            holder = (next(f["seat"] for f in self._found if f["name"] == "by hand"), 0)
        dtype = str(tensor.dtype).removeprefix("torch.")
        return Parameter(name, tuple(tensor.shape), dtype, met["trainable"], *holder, met["owner"], met["root"])

    # -- backward, and updates written by hand -----------------------------------------------------------------------

    def after_backward(self, weights: list[Tensor], passes: int) -> None:
        """Take the norm that clipping is later seen against, and what hand-written updates are compared with."""
        if passes <= NORMS:
            self._norm_after_backward = _norm([t.grad for t in weights])
        if passes <= BY_HAND:
            self._snapshots = [(t, t.detach().clone(), t.grad.detach().clone()) for t in weights if t.grad is not None]
        self._stepped_since = False

    def between(self, set_by_script: list[Tensor], names: Names, passes: int) -> None:
        """Look for weights set by the script itself since the last backward."""
        written = [t for t in set_by_script if t in names]
        moved = [(t, old, g) for t, old, g in self._snapshots if not torch.equal(t.detach(), old)]
        if self._stepped_since or not (written or moved):
            self._snapshots = []
            return
        self._hand_step(written or [t for t, _, _ in moved], moved, passes)
        self._snapshots = []

    def _hand_step(self, written: list[Tensor], moved: list[tuple[Tensor, Tensor, Tensor]], passes: int) -> None:
        self._written |= {id(t) for t in written}
        if not any(f["name"] == "by hand" for f in self._found):
            self._found.append({"name": "by hand", "ours": False, "groups": ({},), "held": {}, "count": 0})
        index = next(i for i, f in enumerate(self._found) if f["name"] == "by hand")
        self.steps += 1
        rate = _rate_of(moved)
        if rate is None and moved and all(bool(torch.isfinite(t.detach()).all()) for t, _, _ in moved):
            self._odd_writes += 1
        elif rate is not None:
            self._by_hand.append(rate)
            self._found[index] |= {"ours": True, "groups": ({"lr": self._by_hand[0]},)}
        rates = (self._by_hand[-1],) if self._by_hand else ()
        self._updates.append(Update(index, passes, rates))
        self._stepped_since = True

    # -- optimizers --------------------------------------------------------------------------------------------------

    def before_step(self, optimizer: Any, closure: bool, passes: int) -> None:
        """An optimizer is about to step: note it, its rates, and its gradient's norm."""
        index = self._of(optimizer)
        rates = tuple(_number(group.get("lr")) for group in optimizer.param_groups)
        norm = None
        if self.steps < NORMS or self.steps % NORMS == 0:
            norm = _norm([p.grad for group in optimizer.param_groups for p in group["params"]])
            if self._norm_after_backward and norm and len(self._clips) < NORMS and not self._stepped_since:
                self._clips.append((self._norm_after_backward, norm))
        self._updates.append(Update(index, passes, rates, norm, closure, self._is_empty(optimizer, norm)))
        self._stepped_since = True

    def _is_empty(self, optimizer: Any, norm: float | None) -> bool:
        """No gradient reaches the step, although the backward before it made some."""
        if all(p.grad is None for group in optimizer.param_groups for p in group["params"]):
            return True
        if norm is not None and self._norm_after_backward:
            self._zeroed = norm == 0.0
        return self._zeroed

    def _of(self, optimizer: Any) -> int:
        if optimizer not in self._index:
            self._index[optimizer] = len(self._found)
            self._found.append(_described(optimizer))
            self._made.append(self.steps)
        return self._index[optimizer]

    def optimizers(self) -> tuple[Optimizer, ...]:
        """Every optimizer that stepped, in the order of its first step; those that took turns count as one."""
        self._seat()
        reached = {id(met["tensor"]) for met in self._met.values()}
        turns = Counter(f["seat"] for f in self._found)
        return tuple(
            Optimizer(
                name=f["name"],
                groups=f["groups"],
                ours=f["ours"] and not (f["name"] == "by hand" and self._odd_writes > 1),
                held=f["count"],
                foreign=sum(key not in reached for key in f["held"]),
                clip=self._clip() if len(turns) == 1 else None,
                created=turns[f["seat"]],
            )
            for f in self._found
            if f["first"]
        )

    def updates(self) -> tuple[Update, ...]:
        """Every step, in order."""
        self._seat()
        begun: set[int] = set()
        found = []
        for update in self._updates:
            seat = self._found[update.optimizer]
            fresh = not seat["first"] and update.optimizer not in begun
            begun.add(update.optimizer)
            found.append(msgspec.structs.replace(update, optimizer=seat["seat"], fresh=fresh))
        return tuple(found)

    def _seat(self) -> None:
        """Give every optimizer its number on the tape: those that follow each other on the same weights share one."""
        last = {u.optimizer: at for at, u in enumerate(self._updates)}
        first = {u.optimizer: at for at, u in reversed(list(enumerate(self._updates)))}
        held: dict[Any, list[int]] = {}
        keys = [(f["name"], frozenset(f["held"].items())) if f["held"] else i for i, f in enumerate(self._found)]
        for index, key in enumerate(keys):
            held.setdefault(key, []).append(index)
        in_turn = {key: all(last.get(a, -1) < first.get(b, 0) for a, b in pairwise(mine)) for key, mine in held.items()}
        seats = 0
        for index, (f, key) in enumerate(zip(self._found, keys, strict=True)):
            f["first"] = not in_turn[key] or held[key][0] == index
            f["seat"] = seats if f["first"] else self._found[held[key][0]]["seat"]
            seats += f["first"]

    def _clip(self) -> float | None:
        """The bound a script clips to: the gradient's norm shrank to one and the same number, and never passed it."""
        shrunk = [after for before, after in self._clips if after < before * (1 - 1e-4)]
        if len(shrunk) < 2 or max(shrunk) > min(shrunk) * 1.01:
            return None
        bound = max(shrunk)
        return bound if all(after <= bound * 1.01 for _, after in self._clips) else None

    def facts(self) -> dict[str, Any]:
        """Smaller observations."""
        return {
            "optimizers_made_at": self._made[:200],
            "clips": [list(pair) for pair in self._clips[:NORMS]],
        }


def _described(optimizer: Any) -> dict[str, Any]:
    kind = type(optimizer)
    ours = kind.__module__.startswith("torch.optim") and kind is getattr(torch.optim, kind.__name__, None)
    groups = tuple({k: _plain(v) for k, v in g.items() if k != "params"} for g in optimizer.param_groups)
    held = {id(p): number for number, g in enumerate(optimizer.param_groups) for p in g["params"]}
    count = sum(len(g["params"]) for g in optimizer.param_groups)
    # The tensors are held too, so that an id on the list cannot come to mean another tensor.
    keep = [p for g in optimizer.param_groups for p in g["params"]]
    return {"name": kind.__name__, "ours": ours, "groups": groups, "held": held, "count": count, "keep": keep}


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


def _rate_of(moved: list[tuple[Tensor, Tensor, Tensor]]) -> float | None:
    """The rate of plain descent that explains a hand-written update; None where none does."""
    step = torch.cat([(old - t.detach()).flatten().double() for t, old, _ in moved]) if moved else torch.zeros(0)
    gradient = torch.cat([g.flatten().double() for _, _, g in moved]) if moved else torch.zeros(0)
    square = float(gradient @ gradient) if len(gradient) else 0.0
    if not square or not math.isfinite(square):
        return None
    rate = float(step @ gradient) / square
    off = float((step - rate * gradient).norm())
    return rate if off <= EXACT * float(step.norm()) else None
