"""One call of a compiled graph: the entries that the tracer would have made of it, with the real tensors in them.

Values that never leave the compiled code have no data; tensors on torch's meta device stand for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from unstuck.recording.call_sites import DEEPEST
from unstuck.recording.tracer import Entry, tensors
from unstuck.tape.site import Site


class Unreadable(Exception):
    """A graph does something whose eager calls cannot be had; the message says what."""


class Step(NamedTuple):
    """A call of the graph's eager code. `kept`: the tracer keeps it; else it only prepares what a kept one is given."""

    entry: Entry
    kept: bool


class Reading(NamedTuple):
    """What one call of a graph is made of, for inputs of certain shapes."""

    steps: tuple[Step, ...]
    inputs: tuple[Any, ...]
    """The fake tensors, and other values, that stood for the inputs, and then for the tensors that the graph holds."""
    held: tuple[Tensor, ...]
    """Those."""
    outputs: tuple[Any, ...]
    changed: frozenset[int]
    """The numbers of the inputs that it changes in place."""
    written: frozenset[int]
    """The numbers of the weights among them."""

    def weights(self, inputs: tuple[Any, ...]) -> list[Tensor]:
        """The weights that a call writes to."""
        given = (*inputs, *self.held)
        return [given[n] for n in self.written]

    def prepared(self, inputs: tuple[Any, ...]) -> Prepared:
        """Before a call: make what is needed beside its inputs (masks, positions, data divided by 255)."""
        given = (*inputs, *self.held)
        real = {id(fake): t for fake, t in zip(self.inputs, given, strict=True) if isinstance(fake, Tensor)}
        ahead, before = dict(real), {}
        for number in self._overwritten():
            ahead[id(self.inputs[number])] = given[number].detach().clone()
        with torch.no_grad():
            for entry, kept in self.steps:
                if not kept:
                    made = _made(entry, ahead)
                    ahead.update(made)
                    real = {**made, **real}
                elif entry.before is not None and id(entry.args[0]) in ahead:
                    before[id(entry.before)] = ahead[id(entry.args[0])].detach().clone()
        return Prepared(self, real, before, self.weights(inputs))

    def _overwritten(self) -> frozenset[int]:
        """The inputs to be copied: the call changes them in place, and their earlier values are asked for."""
        asked = any(not kept or entry.before is not None for entry, kept in self.steps)
        return self.changed - self.written if asked else frozenset()


class Prepared(NamedTuple):
    """What has to be known of a call before it is made."""

    reading: Reading
    real: dict[int, Any]
    """The real tensors known so far, by the id of the fake one."""
    before: dict[int, Tensor]
    """Copies of what calls change in place, by the id of the entry's own copy."""
    written: list[Tensor]
    """The weights that it writes to."""

    def entries(self, made: Any, around: tuple[Site, ...]) -> Iterator[Entry]:
        """The entries of the call, now that it is made. `around`: the frames outside the compiled one."""
        outputs = made if isinstance(made, tuple | list) else (made,)
        real = dict(self.real)
        for fake, t in zip(self.reading.outputs, outputs, strict=True):
            if isinstance(fake, Tensor) and isinstance(t, Tensor):
                real.setdefault(id(fake), t)
        for entry, kept in self.reading.steps:
            if kept:
                yield self._real(entry, real, around)

    def _real(self, entry: Entry, real: dict[int, Any], around: tuple[Site, ...]) -> Entry:
        for fake in entry.results:
            if id(fake) not in real:
                real[id(fake)] = torch.empty(fake.shape, dtype=fake.dtype, device="meta")
        return entry._replace(
            args=_put(entry.args, real),
            kwargs=_put(entry.kwargs, real),
            out=_put(entry.out, real),
            results=tuple(real[id(t)] for t in entry.results),
            sites=(entry.sites + around)[:DEEPEST],
            before=None if entry.before is None else self.before.get(id(entry.before)),
        )


def _made(entry: Entry, ahead: dict[int, Any]) -> dict[int, Tensor]:
    for t in tensors((entry.args, entry.kwargs)):  # of a value inside the compiled code only the shape can be asked for
        if id(t) not in ahead and isinstance(t, FakeTensor):
            ahead[id(t)] = torch.empty(t.shape, dtype=t.dtype, device=t.device)
    made = entry.func(*_put(entry.args, ahead), **_put(entry.kwargs, ahead))
    results = list(tensors(made)) or list(tensors(_put(entry.out, ahead)))
    return {id(fake): t for fake, t in zip(entry.results, results, strict=True)}


def _put(tree: Any, real: dict[int, Any]) -> Any:
    """The same arguments with the real tensors in the places of the fake ones."""
    if isinstance(tree, Tensor):
        if isinstance(tree, FakeTensor) and id(tree) not in real:
            raise Unreadable("a value inside it cannot be had")
        return real.get(id(tree), tree)
    if isinstance(tree, tuple):
        parts = [_put(branch, real) for branch in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    if isinstance(tree, list):
        return [_put(branch, real) for branch in tree]
    if isinstance(tree, dict):
        return {key: _put(branch, real) for key, branch in tree.items()}
    if isinstance(tree, slice):
        return slice(*(_put(part, real) for part in (tree.start, tree.stop, tree.step)))
    return tree
