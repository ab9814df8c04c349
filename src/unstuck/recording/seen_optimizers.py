"""The optimizers that have stepped: what they are, what they hold, and their numbers on the tape."""

from __future__ import annotations

import weakref
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import msgspec
import torch
from torch import Tensor

from unstuck.recording.constructions import Constructions
from unstuck.recording.hand_updates import History
from unstuck.recording.update_rules import Rule
from unstuck.recording.weight_writes import WeightWrites
from unstuck.tape.model import Optimizer, Update
from unstuck.tape.site import Site

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
    """On the tape (-1: not on it); optimizers that follow each other on the same weights share one."""
    first: bool = True
    """The first of those."""
    made: Site | None = None
    """Where it was constructed."""
    names: set[str] = field(default_factory=set)
    """The names of the weights that it was seen to write to, where no hook of torch tells of its steps."""
    history: History = field(default_factory=History)
    site: Site | None = None

    def rates(self, update: Update, step: int) -> tuple[float, ...]:
        """The rates of one of its updates, its `step`-th; where they are not known, those of the rule it follows."""
        if not self.names:
            return update.rates + (0.0,) * (len(self.groups) - len(update.rates))
        if update.rates or self.rule is None:
            return update.rates
        return (self.rule.rates[min(step, len(self.rule.rates) - 1)],)

    @cached_property
    def rule(self) -> Rule | None:
        """The rule that its updates follow."""
        return self.history.rule()

    def optimizer(self) -> Optimizer:
        """As it stands on the tape."""
        if not self.names:
            return Optimizer(self.name, self.groups, self.ours, len(self.tensors), made=self.made)
        rule = self.rule
        groups = self.groups if rule is None else ({"lr": rule.rates[0], **rule.options},)
        alike = "" if rule is None else rule.name
        return Optimizer(self.name, groups, rule is not None, len(self.names), alike=alike, site=self.site)


class SeenOptimizers:
    """Knows an optimizer again; a hook of torch has shown each of them."""

    def __init__(self, constructions: Constructions) -> None:
        self._constructions = constructions
        self.items: list[Seen] = []
        self.by_hand = False
        """Some of them step without a hook of torch."""
        self._index: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def of(self, optimizer: Any) -> int:
        """The optimizer's place among the items."""
        if optimizer not in self._index:
            self.items.append(seen(optimizer))
            self.items[-1].made = self._constructions.of_optimizer(optimizer)
            self._index[optimizer] = len(self.items) - 1
        self._grow(self.items[self._index[optimizer]], optimizer)
        return self._index[optimizer]

    def _grow(self, known: Seen, optimizer: Any) -> None:
        """Take in the groups and weights that it was given since its first step."""
        if sum(len(group["params"]) for group in optimizer.param_groups) > len(known.tensors):
            now = seen(optimizer)
            known.groups = (*known.groups, *now.groups[len(known.groups) :])
            known.group_of, known.tensors = now.group_of, now.tensors

    def writing(self, names: frozenset[str], writes: WeightWrites) -> tuple[int, Seen]:
        """The optimizer, of no class of torch's, that writes to these weights, which tell it from others."""
        self.by_hand = True
        index = next((n for n, one in enumerate(self.items) if one.names & names), len(self.items))
        if index == len(self.items):
            self.items.append(Seen(writes.writer_name() or BY_HAND, _groups(writes), site=next(iter(writes.at), None)))
        self.items[index].names |= names
        return index, self.items[index]

    def holds(self, tensor: Tensor) -> bool:
        """Whether one of them holds a tensor."""
        return any(id(tensor) in one.group_of for one in self.items)

    def number(self, updates: list[Update]) -> None:
        """Give every optimizer that made one of the updates its number on the tape."""
        last = {u.optimizer: at for at, u in enumerate(updates)}
        first = {u.optimizer: at for at, u in reversed(list(enumerate(updates)))}
        alike: dict[Any, list[int]] = {}
        keys = [(s.name, frozenset(s.group_of.items())) if s.group_of else i for i, s in enumerate(self.items)]
        for index, key in enumerate(keys):
            if index in first:
                alike.setdefault(key, []).append(index)
        turns = {key: all(last[a] < first[b] for a, b in pairwise(mine)) for key, mine in alike.items()}
        count = 0
        for index, (one, key) in enumerate(zip(self.items, keys, strict=True)):
            one.first = index in first and (not turns[key] or alike[key][0] == index)
            one.number = count if one.first else self.items[alike[key][0]].number if index in first else -1
            count += one.first


def numbered(updates: list[Update], items: list[Seen]) -> tuple[Update, ...]:
    """The updates with the numbers of the tape, and their rates: 0 for groups that an optimizer had not been given."""
    steps: Counter[int] = Counter()
    found = []
    for update in updates:
        one = items[update.optimizer]
        fresh = not one.first and not steps[update.optimizer]
        rates = one.rates(update, steps[update.optimizer])
        steps[update.optimizer] += 1
        found.append(msgspec.structs.replace(update, optimizer=one.number, fresh=fresh, rates=rates))
    return tuple(found)


def seen(optimizer: Any) -> Seen:
    """An optimizer as it is now: its class, its groups with their options, its tensors."""
    kind = type(optimizer)
    ours = kind.__module__.startswith("torch.optim") and kind is getattr(torch.optim, kind.__name__, None)
    groups = options(optimizer.param_groups)
    group_of = {id(p): number for number, g in enumerate(optimizer.param_groups) for p in g["params"]}
    return Seen(kind.__name__, groups, ours, group_of, [p for g in optimizer.param_groups for p in g["params"]])


def _groups(writes: WeightWrites) -> tuple[dict[str, Any], ...]:
    try:
        return options(writes.groups()) or ({},)
    except Exception:  # groups of some other kind
        return ({},)


def options(groups: Any) -> tuple[dict[str, Any], ...]:
    """The options of groups of weights, as plain data."""
    return tuple({k: _plain(v) for k, v in g.items() if k != "params"} for g in groups)


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return float(value) if value.numel() == 1 else None
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, bool):
        return value
    return next((plain(value) for plain in (int, float, str) if isinstance(value, plain)), None)  # numpy's are theirs
