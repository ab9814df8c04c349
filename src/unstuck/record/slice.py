"""From the log of a step to its program: the calls that depend on a weight and that the loss depends on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import resolve_name

from unstuck.program import Call, Named, Outside, Program, Ref, Value, Weight, mapped
from unstuck.record.calls import Entry, tensors
from unstuck.record.names import is_weight

NAMED = (torch.dtype, torch.device, torch.layout, torch.memory_format)


class Cut(NamedTuple):
    """A program and the tensors that stood in its slots, in the order of the slots."""

    program: Program
    outside: tuple[Tensor, ...]


def needed(entries: list[Entry], target: Tensor) -> list[Entry]:
    """The entries that a tensor depends on, in order."""
    wanted, kept = {id(target)}, []
    for entry in reversed(entries):
        if any(id(t) in wanted for t in tensors(entry.out)):
            kept.append(entry)
            wanted.update(id(t) for t in tensors((entry.args, entry.kwargs)))
    return kept[::-1]


def program(
    entries: list[Entry], target: Tensor, name: Callable[[Tensor], str], weight: Callable[[Tensor], bool] = is_weight
) -> Cut:
    """Cut the program out of a log. `name` names weights; `weight` says which leaves are weights."""
    return _Cutter(name, weight).cut(needed(entries, target), target)


class _Cutter:
    def __init__(self, name: Callable[[Tensor], str], weight: Callable[[Tensor], bool]) -> None:
        self.name, self.weight = name, weight
        self.refs: dict[int, Ref] = {}
        self.outside: list[Tensor] = []
        self.count = 0
        self.missing = ""

    def cut(self, entries: list[Entry], target: Tensor) -> Cut:
        calls = tuple(self._call(entry) for entry in entries)
        loss = self.refs.get(id(target))
        if not isinstance(loss, Value):
            return Cut(
                Program(calls, -1, len(self.outside), "the loss was not made by any call that reads a weight"), ()
            )
        return Cut(Program(calls, loss.id, len(self.outside), self.missing), tuple(self.outside))

    def _call(self, entry: Entry) -> Call:
        if entry.before is not None:  # what stood there before the change is what the program starts from
            self.refs[id(entry.args[0])] = self._enter(entry.before)
        args, kwargs = mapped(_tupled(entry.args), self._ref), mapped(entry.kwargs, self._ref)
        results = list(tensors(entry.out))
        self._untraceable(entry)
        outs = tuple(range(self.count, self.count + len(results)))
        self.count += len(results)
        self.refs.update((id(t), Value(n)) for t, n in zip(results, outs, strict=True))
        shape = tuple(results[0].shape)
        return Call(function(entry.func), args, kwargs, outs, entry.sites, entry.grad, shape, entry.cast)

    def _untraceable(self, entry: Entry) -> None:
        if entry.func is torch.autograd.grad:
            self.missing = self.missing or "it differentiates inside its own loss (double backward)"
        elif not function(entry.func):
            self.missing = (
                self.missing or f"a call without a public name ({getattr(entry.func, '__name__', entry.func)})"
            )

    def _ref(self, leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return self.refs.get(id(leaf)) or self._new(leaf)
        if isinstance(leaf, NAMED):
            return Named(type(leaf).__name__, str(leaf).removeprefix("torch."))
        if leaf is ...:
            return Named("ellipsis", "...")
        if leaf is None or isinstance(leaf, bool | int | float | str):
            return leaf
        if isinstance(leaf, torch.SymInt | torch.SymFloat):
            return float(leaf) if isinstance(leaf, torch.SymFloat) else int(leaf)
        self.missing = self.missing or f"an argument of type {type(leaf).__name__}"
        return repr(leaf)

    def _new(self, tensor: Tensor) -> Ref:
        if self.weight(tensor):
            self.refs[id(tensor)] = Weight(self.name(tensor))
            return self.refs[id(tensor)]
        if tensor.requires_grad:
            self.missing = self.missing or f"a value made outside the recorded calls ({_maker(tensor)})"
        self.refs[id(tensor)] = self._enter(tensor)
        return self.refs[id(tensor)]

    def _enter(self, tensor: Tensor) -> Outside:
        self.outside.append(tensor)
        return Outside(len(self.outside) - 1)


def _maker(tensor: Tensor) -> str:
    try:
        return type(tensor.grad_fn).__name__.removesuffix("Backward") if tensor.grad_fn else "an earlier step"
    except RuntimeError:  # a view whose base was changed in place under other gradient rules
        return "a view changed in place"


def _tupled(tree: Any) -> Any:
    """Named tuples and torch.Size as plain tuples, ranges as lists, so that trees compare and store alike."""
    if isinstance(tree, tuple):
        return tuple(_tupled(branch) for branch in tree)
    if isinstance(tree, list | range):
        return [_tupled(branch) for branch in tree]
    return tree


def function(func: Any) -> str:
    """The public name of a torch function ("" where it has none)."""
    if func is torch.autograd.grad:
        return "torch.autograd.grad"
    return resolve_name(func) or ""
