"""The rows of several ranks under each other, and the tensors that are no rows left as they are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Program


class CannotJoin(Exception):
    """The ranks' steps are not one step on all their rows; the message says why."""


Keys = tuple[str, ...]
"""The key of a tensor on the tape of each rank."""


class Joined:
    """The tensors of several tapes, joined along their first axis; each distinct group once, in `made`."""

    def __init__(self, ranks: Sequence[Tape]) -> None:
        self.made: dict[str, Tensor] = {}
        self._tapes = ranks
        self._keys: dict[Keys, str] = {}
        self._equal: dict[Keys, bool] = {}
        self._shared = _shared(self, ranks)

    def tensor(self, key: str) -> Tensor:
        """A tensor of the merged tape."""
        return self.made[key] if key in self.made else self._tapes[0].tensors[key]

    def alike(self, same: Sequence[Pass]) -> bool:
        """Whether all ranks had the same rows in a step."""
        return all(self.equal(keys) for keys in zip(*(p.outside for p in same), strict=True))

    def equal(self, keys: Keys) -> bool:
        """Whether a tensor is the same on all ranks."""
        if keys not in self._equal:
            first, *rest = self._found(keys)
            self._equal[keys] = all(first.dtype == t.dtype and torch.equal(first, t) for t in rest)
        return self._equal[keys]

    def outside(self, same: Sequence[Pass]) -> Keys:
        """The keys of a step's tensors. Raises CannotJoin where the ranks did different things."""
        slots = list(zip(*(p.outside for p in same), strict=True))
        if all(self.equal(keys) for keys in slots):
            return same[0].outside
        shared = self._shared[same[0].program]
        return tuple(keys[0] if shared[at] else self._join(keys) for at, keys in enumerate(slots))

    def output(self, same: Sequence[Pass]) -> str:
        """The key of a step's outputs; "" where they are not known, or are no rows."""
        keys = tuple(p.output for p in same)
        if not all(keys):
            return ""
        try:
            return keys[0] if self.alike(same) else self._join(keys)
        except CannotJoin:
            return ""

    def _found(self, keys: Keys) -> list[Tensor]:
        return [tape.tensors[key] for tape, key in zip(self._tapes, keys, strict=True)]

    def _join(self, keys: Keys) -> str:
        if keys not in self._keys:
            parts = self._found(keys)
            if any(p.dim() < 1 or p.shape[1:] != parts[0].shape[1:] or p.dtype != parts[0].dtype for p in parts):
                raise CannotJoin("what enters its step differs between ranks, and is no batch of rows")
            key = self._keys[keys] = f"r:{len(self.made)}"
            self.made[key] = torch.cat(parts)
        return self._keys[keys]


def _shared(joined: Joined, ranks: Sequence[Tape]) -> dict[int, list[bool]]:
    """Per program of the first rank: which slots hold what all ranks share (a mask, class weights) instead of rows.

    Rows differ between ranks, or change from step to step and are as many as what differs.
    """
    base, found = ranks[0], {}
    for number, steps in _by_program(ranks).items():
        slots = range(len(steps[0][0].outside))
        shared = [all(joined.equal(tuple(p.outside[at] for p in same)) for same in steps) for at in slots]
        keys = [[same[0].outside[at] for same in steps] for at in slots]
        rows = {_length(base.tensors[k]) for at in slots if not shared[at] for k in keys[at]}
        found[number] = [
            shared[at] and (len(set(keys[at])) == 1 or any(_length(base.tensors[k]) not in rows for k in keys[at]))
            for at in slots
        ]
    return found


def _by_program(ranks: Sequence[Tape]) -> dict[int, list[tuple[Pass, ...]]]:
    """The ranks' steps side by side, by program. Raises CannotJoin where the ranks run different programs."""
    groups: dict[int, list[tuple[Pass, ...]]] = {}
    alike: set[tuple[int, ...]] = set()
    for same in zip(*(t.passes for t in ranks), strict=False):
        numbers = tuple(p.program for p in same)
        if numbers not in alike:
            first, *rest = (_outline(t.programs[n]) for t, n in zip(ranks, numbers, strict=True))
            if any(first != other for other in rest):
                raise CannotJoin("the ranks take different steps")
            alike.add(numbers)
        groups.setdefault(numbers[0], []).append(same)
    return groups


def _length(tensor: Tensor) -> int:
    return tensor.shape[0] if tensor.dim() else -1


def _outline(program: Program) -> object:
    """A program without its lines, and without the shapes, which depend on the number of rows."""
    calls = tuple((c.function, repr(c.args), repr(c.kwargs), c.outs, c.grad, c.cast) for c in program.calls)
    return calls, program.loss, program.slots
