"""The calls of a past step, kept in case a later backward reaches them, without what they made.

A network's activations are most of what a step needs in memory; kept beyond it they would be there two or three times.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor

from unstuck.recording.slicing import owner
from unstuck.recording.tracer import Entry
from unstuck.tape.program import mapped

SMALL = 65_536
"""Numbers in a value that is kept all the same, free of its graph: a loss, a network's output."""


class PastCalls:
    """Calls whose values other tensors stand for; `recalled` puts those back that the script still holds."""

    def __init__(self, entries: list[Entry]) -> None:
        own = any(not e.grad and owner(t) for e in entries for t in e.results)  # told by the values alone
        made = {} if own else {id(t): t for e in entries for t in e.results if not t.is_meta}
        shadows = {key: _shadow(t) for key, t in made.items()}
        self._values = [(weakref.ref(t), shadows[key]) for key, t in made.items()]
        self._entries = _replaced(entries, shadows)

    def recalled(self) -> list[Entry]:
        """The calls, with the values that are still there."""
        alive = {id(shadow): t for ref, shadow in self._values if (t := ref()) is not None}
        return _replaced(self._entries, alive) if alive else self._entries


def _shadow(tensor: Tensor) -> Tensor:
    if tensor.numel() <= SMALL:
        return tensor.detach()
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")


def _replaced(entries: list[Entry], others: dict[int, Tensor]) -> list[Entry]:
    def other(leaf: Any) -> Any:
        return others.get(id(leaf), leaf) if isinstance(leaf, Tensor) else leaf

    return [
        e._replace(
            args=mapped(e.args, other),
            kwargs=mapped(e.kwargs, other),
            out=mapped(e.out, other),
            results=tuple(map(other, e.results)),
        )
        for e in entries
    ]
