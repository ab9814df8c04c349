"""The training step as a program: plain data that rules read, remedies edit and the replay runs.

A program is a list of torch calls from the parameters to the loss. Values are numbered; what enters from outside
(batches, targets, masks) stands in numbered slots; parameters stand by name. No torch here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import msgspec

from unstuck.tape import ops
from unstuck.tape.site import Site

DERIVATIVE = "torch.autograd.grad"
"""The call of a gradient inside the loss."""
PRIVATE = ("_weight_norm", "_pack_padded_sequence", "_pad_packed_sequence")
"""Functions of torch without a public name that its modules call, and that can be run again."""


class Value(msgspec.Struct, frozen=True, tag="value"):
    """A tensor that an earlier call made."""

    id: int


class Weight(msgspec.Struct, frozen=True, tag="weight"):
    """A parameter (or a buffer that takes part), by its name on the tape."""

    name: str


class Outside(msgspec.Struct, frozen=True, tag="outside"):
    """A tensor that comes from outside the program: the batch, the targets, a mask, a first hidden state."""

    slot: int


class Constant(msgspec.Struct, frozen=True, tag="constant"):
    """A tensor that a remedy brought in, by its key in the trial's constants."""

    key: str


Ref = Value | Weight | Outside | Constant


class Named(msgspec.Struct, frozen=True, tag="named"):
    """A dtype, device, layout or memory format, by name; `...` is one too."""

    kind: str
    name: str


KEEPS = {"batch_norm", "instance_norm"}
"""Calls that read, beside their input, what a layer keeps for itself."""


class Call(msgspec.Struct, frozen=True, dict=True):
    """One torch call: its name as `torch.overrides.resolve_name` gives it, arguments with refs, and where it stands."""

    function: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = {}
    outs: tuple[int, ...] = ()
    sites: tuple[Site, ...] = ()
    grad: bool = True
    """Gradients were recorded when it ran."""
    shape: tuple[int, ...] = ()
    """Of its first result, as recorded."""
    cast: str = ""
    """The autocast dtype in force ("" where none)."""
    also: tuple[tuple[int, ...], ...] = ()
    """Shapes of its other results (the last states beside the outputs of an LSTM), as recorded."""

    def shape_of(self, result: int) -> tuple[int, ...] | None:
        """The recorded shape of one of its results; None where it is not known."""
        shapes = dict(zip(self.outs, (self.shape, *self.also), strict=False))
        return shapes.get(result)

    @cached_property
    def name(self) -> str:
        """The function's last name without a trailing underscore: `torch.Tensor.relu_` is `relu`."""
        last = self.function.removesuffix(".__get__").rpartition(".")[2]
        return last.strip("_") if last.startswith("__") else last.removesuffix("_")

    @property
    def op(self) -> ops.Op:
        """What is known of the function."""
        return ops.of(self.name)

    @property
    def site(self) -> Site | None:
        """The innermost line of the script's own code."""
        return self.sites[0] if self.sites else None

    def refs(self) -> tuple[Ref, ...]:
        """Every ref among the arguments, in order."""
        return self._refs

    @cached_property
    def _refs(self) -> tuple[Ref, ...]:
        return tuple(leaf for leaf in leaves((self.args, self.kwargs)) if isinstance(leaf, Ref))

    def value(self) -> Ref | None:
        """The first value among the arguments; the first ref if there is none."""
        refs = self.refs()
        return next((r for r in refs if isinstance(r, Value)), refs[0] if refs else None)

    def weights(self) -> tuple[str, ...]:
        """The names of the weights among the arguments."""
        return tuple(r.name for r in self.refs() if isinstance(r, Weight))

    def argument(self, position: int, keyword: str, default: Any = None) -> Any:
        """An argument that may have been given by position or by keyword."""
        return self.args[position] if position < len(self.args) else self.kwargs.get(keyword, default)


def _read_by(call: Call, ref: Ref | None) -> Ref | None:
    """What a call made a value of: its argument at the same place where it has one for each result, else the first."""
    refs = call.refs()
    if isinstance(ref, Value) and len(call.outs) == len(refs) > 1:
        return refs[call.outs.index(ref.id)]
    return call.value()


def leaves(tree: Any) -> Iterator[Any]:
    """The leaves of nested tuples, lists, dicts and slices."""
    if isinstance(tree, tuple | list):
        for branch in tree:
            yield from leaves(branch)
    elif isinstance(tree, dict):
        for branch in tree.values():
            yield from leaves(branch)
    elif isinstance(tree, slice):
        yield from leaves((tree.start, tree.stop, tree.step))
    else:
        yield tree


def mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    """The same tree with `change` applied to every leaf."""
    if isinstance(tree, tuple):
        return tuple(mapped(branch, change) for branch in tree)
    if isinstance(tree, list):
        return [mapped(branch, change) for branch in tree]
    if isinstance(tree, dict):
        return {key: mapped(branch, change) for key, branch in tree.items()}
    if isinstance(tree, slice):
        return slice(*(mapped(part, change) for part in (tree.start, tree.stop, tree.step)))
    return change(tree)


class Program(msgspec.Struct, frozen=True, dict=True):
    """The calls of one backward pass, in order, and the number of the value that is the loss."""

    calls: tuple[Call, ...]
    loss: int
    slots: int = 0
    """How many tensors come from outside."""
    missing: str = ""
    """Why the program cannot be run again ("" where it can)."""
    own: tuple[str, ...] = ()
    """Where it is only because of them: the torch.autograd.Functions with a backward of their own, if each computes
    something (and does not only change the gradient). Forward it can be run, and it has a derivative."""

    @property
    def differentiates(self) -> bool:
        """Whether its loss is made of gradients itself: only plain autograd can train it."""
        return any(call.function == DERIVATIVE for call in self.calls)

    def maker(self, ref: Ref | None) -> Call | None:
        """The call that made a value."""
        return self._makers.get(ref.id) if isinstance(ref, Value) else None

    @cached_property
    def _makers(self) -> dict[int, Call]:
        """By value the call that made it."""
        return {out: call for call in reversed(self.calls) for out in call.outs}

    @cached_property
    def states(self) -> frozenset[int]:
        """The slots that hold what a layer keeps for itself, as long as its channels and not as the batch: the running
        statistics of a batch norm."""
        readers: dict[int, set[str]] = {}
        for call in self.calls:
            for ref in call.refs():
                if isinstance(ref, Outside):
                    readers.setdefault(ref.slot, set()).add(call.name)
        given = {ref.slot for c in self.calls if c.name in KEEPS for ref in c.refs()[:1] if isinstance(ref, Outside)}
        return frozenset(slot for slot, names in readers.items() if names <= KEEPS) - given

    def users(self, ref: Ref) -> tuple[Call, ...]:
        """The calls that read a value, slot or weight."""
        return tuple(c for c in self.calls if ref in c.refs())

    def leading_to(self, ref: Ref) -> tuple[Call, ...]:
        """The calls that a value is made by, in order."""
        wanted: set[Ref] = {ref}
        found = []
        for call in reversed(self.calls):
            if any(Value(out) in wanted for out in call.outs):
                wanted.update(call.refs())
                found.append(call)
        return tuple(reversed(found))

    def after(self, call: Call) -> Iterator[Call]:
        """The later calls that depend on what a call makes."""
        reached: set[Ref] = {Value(out) for out in call.outs}
        for later in self.calls:
            if not reached.isdisjoint(later.refs()):
                reached.update(Value(out) for out in later.outs)
                yield later

    def back(self, ref: Ref | None) -> Iterator[tuple[Ref, Call]]:
        """A value and the call that made it, then the same for the first value which that call reads, and so on."""
        while isinstance(ref, Value) and (call := self.maker(ref)) is not None:
            yield ref, call
            ref = _read_by(call, ref)

    def source(self, ref: Ref | None, through: Callable[[Call], object] = lambda call: call.op.hands_on) -> Ref | None:
        """Where a value comes from: the ref in front of the calls that only hand it on (or are in `through`)."""
        for _, call in self.back(ref):
            if not through(call):
                break
            ref = _read_by(call, ref)
        return ref

    def weights(self) -> tuple[str, ...]:
        """The names of the parameters it reads, in the order of their first use."""
        return self._weights

    @cached_property
    def _weights(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for c in self.calls for name in c.weights()))

    def fresh(self) -> int:
        """A number no value has yet."""
        return 1 + max((out for c in self.calls for out in c.outs), default=-1)

    def replaced(self, call: Call, *instead: Call) -> Program:
        """The program with other calls (or none) in the place of one."""
        at = next(i for i, c in enumerate(self.calls) if c is call)
        return msgspec.structs.replace(self, calls=(*self.calls[:at], *instead, *self.calls[at + 1 :]))

    def before(self, call: Call, *new: Call) -> Program:
        """The program with calls inserted in front of one."""
        return self.replaced(call, *new, call)

    def without(self, call: Call) -> Program:
        """The program with a call left out: what read its result reads its first argument instead."""
        kept, gone = call.refs()[0], Value(call.outs[0])
        return self.replaced(call).redirected(gone, kept)

    def redirected(self, old: Ref, new: Ref, calls: tuple[Call, ...] | None = None) -> Program:
        """The program with one ref read in the place of another (in some calls only, where given)."""
        chosen = None if calls is None else {id(c) for c in calls}

        def turn(c: Call) -> Call:
            if chosen is not None and id(c) not in chosen:
                return c
            swap = lambda leaf: new if leaf == old else leaf
            return msgspec.structs.replace(c, args=mapped(c.args, swap), kwargs=mapped(c.kwargs, swap))

        loss = new.id if isinstance(new, Value) and old == Value(self.loss) else self.loss
        return msgspec.structs.replace(self, calls=tuple(turn(c) for c in self.calls), loss=loss)


def packed(tree: Any) -> Any:
    """Arguments as JSON can hold them: tuples, slices, refs and names become objects with one telling key."""
    if isinstance(tree, Ref | Named):
        return {"ref": msgspec.to_builtins(tree)}
    if isinstance(tree, tuple):
        return {"tuple": [packed(branch) for branch in tree]}
    if isinstance(tree, list):
        return [packed(branch) for branch in tree]
    if isinstance(tree, dict):
        return {"dict": {key: packed(branch) for key, branch in tree.items()}}
    if isinstance(tree, slice):
        return {"slice": [packed(part) for part in (tree.start, tree.stop, tree.step)]}
    return tree


def unpacked(raw: Any) -> Any:
    """The reverse of `packed`; raises ValueError for an object it did not write."""
    if isinstance(raw, list):
        return [unpacked(branch) for branch in raw]
    if not isinstance(raw, dict):
        return raw
    match raw:
        case {"ref": value}:
            return msgspec.convert(value, Value | Weight | Outside | Constant | Named)
        case {"tuple": branches}:
            return tuple(unpacked(branch) for branch in branches)
        case {"dict": branches}:
            return {key: unpacked(branch) for key, branch in branches.items()}
        case {"slice": parts}:
            return slice(*(unpacked(part) for part in parts))
    raise ValueError("an argument of an unknown form")


def stored(program: Program) -> dict[str, Any]:
    """A program as JSON can hold it."""
    plain = msgspec.to_builtins(msgspec.structs.replace(program, calls=()))
    calls = [msgspec.to_builtins(msgspec.structs.replace(c, args=(), kwargs={})) for c in program.calls]
    for call, made in zip(program.calls, calls, strict=True):
        made |= {"args": packed(call.args), "kwargs": packed(call.kwargs)}
    return {**plain, "calls": calls}


def restored(raw: dict[str, Any]) -> Program:
    """The reverse of `stored`."""
    bare = [{**c, "args": (), "kwargs": {}} for c in raw["calls"]]
    program = msgspec.convert({**raw, "calls": bare}, Program)
    full = (
        msgspec.structs.replace(c, args=unpacked(r["args"]), kwargs=unpacked(r["kwargs"]))
        for c, r in zip(program.calls, raw["calls"], strict=True)
    )
    return msgspec.structs.replace(program, calls=tuple(full))
