"""From the calls of a step to its program: those that depend on a weight and that the loss depends on."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import msgspec
import torch
from torch import Tensor
from torch.overrides import resolve_name

from unstuck.recording.parameter_names import is_weight
from unstuck.recording.tracer import Entry, tensors
from unstuck.tape import ops
from unstuck.tape.interpreter import known
from unstuck.tape.program import DERIVATIVE, PRIVATE, Call, Named, Outside, Program, Ref, Value, Weight, mapped

name_of = inspect.unwrap(resolve_name)
"""Unwrapped: as torch wraps it, every call makes all modules forget which warnings they have shown."""
NAMED = (torch.dtype, torch.device, torch.layout, torch.memory_format)
PLAIN = ("CheckpointFunction", "_DDPSink")
"""Of torch.utils.checkpoint and of DistributedDataParallel: their backward is that of the calls inside them."""
HALF = 2
"""Bytes of a number of half precision: arithmetic takes a plain number more exactly."""
FEW = 256
"""Calls of a program that may all stay; a forward of a ResNet-50 makes fewer."""
TIMES = 16
"""Calls without a gradient to one with: a teacher is rarely so many times the size of its student."""
BATCH_NORM = "torch.nn.functional.batch_norm"
TWINS = {torch.sparse.mm: "torch.spmm", torch.sparse.addmm: "torch.addmm", torch.sparse.sum: "torch.sum"}
"""Functions without a public name, and those that give the same numbers: a tape holds matrices with their zeros."""


class Cut(NamedTuple):
    """A program and the tensors that stood in its slots, in the order of the slots."""

    program: Program
    outside: tuple[Tensor, ...]


def needed(entries: list[Entry], target: Tensor) -> list[Entry]:
    """The entries that a tensor depends on, in order; not those of which nothing but data comes."""
    wanted, kept = {id(target)}, []
    for entry in reversed(entries):
        if any(id(t) in wanted for t in entry.results) and not _gives_data(entry):
            kept.append(entry)
            wanted.update(id(t) for t in tensors((entry.args, entry.kwargs)))
    return kept[::-1]


def _gives_data(entry: Entry) -> bool:
    """Whether a call on tensors gives no gradient, and cannot be run again either: a state of zeros for as many rows as
    a packed sequence has. (One without tensors is on the tape only where a compiled graph draws its own numbers.)"""
    given = any(True for _ in tensors((entry.args, entry.kwargs)))
    return given and not any(t.requires_grad for t in entry.results) and not known(function(entry.func))


def without_memory(entries: list[Entry], target: Tensor) -> list[Entry]:
    """Of the `needed` entries those that a gradient can pass, where the others are far more: they filled a memory.

    A rollout of 128 actions is thousands of calls before the first update that reads it, and data to all others. The
    few calls that a teacher or a target network makes, or a value that was detached by mistake, stay in the program.
    """
    if len(entries) <= FEW:
        return entries
    passed = [e for e in entries if any(t.requires_grad for t in e.results)]
    own = any(owner(t) for e in passed for t in e.results)  # the calls inside such a function have no gradient either
    return entries if own or len(entries) - len(passed) <= TIMES * len(passed) else needed(passed, target)


def program(
    entries: list[Entry],
    target: Tensor,
    name: Callable[[Tensor], str],
    weight: Callable[[Tensor], bool] = is_weight,
    entering: Collection[int] = (),
) -> Cut:
    """The program that some entries are, all of them `needed`. `name` names weights; `weight` says what is one;
    `entering`: which numbers of its arithmetic are no part of it, but stand in slots behind those of the tensors."""
    return _Cutter(name, weight, entering).cut(entries, target)


class Number(NamedTuple):
    """A number that arithmetic takes, and the type of what it makes."""

    value: int | float
    dtype: torch.dtype

    def tensor(self) -> Tensor:
        """The same as a tensor without axes, which gives the same results."""
        return torch.tensor(self.value, dtype=self.dtype if self.dtype.itemsize > HALF else torch.float32)


class Outline(NamedTuple):
    """What tells a program from another, and the tensors in its slots: all that a program seen before has to give."""

    key: Any
    outside: tuple[Tensor, ...]
    numbers: tuple[Number, ...] = ()
    """Those of its arithmetic, which are not in the key."""


def outline(
    entries: list[Entry], target: Tensor, name: Callable[[Tensor], str], weight: Callable[[Tensor], bool] = is_weight
) -> Outline:
    """The outline of a program: equal keys, equal programs (but for their lines, shapes and numbers)."""
    return _Outliner(name, weight).read(entries, target)


def shown(leaf: Any) -> str:
    """What tells an argument that is no tensor from others; of an object that may be large (a storage, which writes
    out every byte), its type alone."""
    plain = leaf is None or leaf is ... or isinstance(leaf, (bool, int, float, complex, str, bytes, *NAMED))
    return repr(leaf) if plain else type(leaf).__qualname__


class _Outliner:
    """Goes through the entries in the cutter's order and makes no data: this runs for every step of the person's."""

    def __init__(self, name: Callable[[Tensor], str], weight: Callable[[Tensor], bool]) -> None:
        self.name, self.weight = name, weight
        self.refs: dict[int, Any] = {}
        self.outside: list[Tensor] = []
        self.parts: list[Any] = []
        self.numbers: list[Number] = []
        self.count = 0

    def read(self, entries: list[Entry], target: Tensor) -> Outline:
        for entry in entries:
            self._call(entry)
        loss = self.refs.get(id(target))
        known = type(loss) is int
        outside = tuple(self.outside) if known else ()
        return Outline((tuple(self.parts), loss if known else None), outside, tuple(self.numbers))

    def _call(self, entry: Entry) -> None:
        if entry.before is not None:
            self.refs[id(entry.args[0])] = self._enter(entry.before)
        self.parts += (function(entry.func) or repr(entry.func), entry.grad, entry.cast, len(entry.results))
        self._tree(self._without_numbers(entry) if takes_numbers(entry) else entry.args)
        if entry.kwargs:
            self._tree(entry.kwargs if function(entry.func) != BATCH_NORM else _steady(entry.kwargs))
        for result in entry.results:
            self.refs[id(result)] = self.count
            self.count += 1

    def _without_numbers(self, entry: Entry) -> tuple[Any, ...]:
        """The arguments of a call, with what stands for each number in its place."""
        self.numbers += [Number(a, entry.results[0].dtype) for a in entry.args if is_number(a)]
        return tuple("number" if is_number(a) else a for a in entry.args)

    def _tree(self, tree: Any) -> None:
        if isinstance(tree, Tensor):
            self.parts.append(self.refs[id(tree)] if id(tree) in self.refs else self._new(tree))
        elif isinstance(tree, tuple | list):
            self.parts.append(len(tree))
            for branch in tree:
                self._tree(branch)
        elif isinstance(tree, dict):
            self._tree(tuple(tree))
            self._tree(tuple(tree.values()))
        elif isinstance(tree, slice):
            self._tree((tree.start, tree.stop, tree.step))
        else:
            self.parts.append(shown(tree))  # 1, 1.0 and True are equal, and NaN is not

    def _new(self, tensor: Tensor) -> Any:
        self.refs[id(tensor)] = ref = ("weight", self.name(tensor)) if self.weight(tensor) else self._enter(tensor)
        return ref

    def _enter(self, tensor: Tensor) -> tuple[str, int, bool]:
        self.outside.append(tensor)
        return "outside", len(self.outside) - 1, tensor.requires_grad


class _Cutter:
    def __init__(
        self, name: Callable[[Tensor], str], weight: Callable[[Tensor], bool], entering: Collection[int]
    ) -> None:
        self.name, self.weight, self.entering = name, weight, entering
        self.numbers = 0
        """Of arithmetic, so far."""
        self.entered: list[Tensor] = []
        """Those that stand in slots."""
        self.refs: dict[int, Ref] = {}
        self.outside: list[Tensor] = []
        self.count = 0
        self.missing = ""
        self.cutting = False
        """The call that is read now gives no gradient back."""
        self.own: dict[str, bool] = {}
        """Functions with a backward of their own, and whether they compute something."""

    def cut(self, entries: list[Entry], target: Tensor) -> Cut:
        entries = self._with_own_gradients(entries)
        calls = tuple(map(self._numbered, [self._call(entry) for entry in entries]))
        loss, slots = self.refs.get(id(target)), len(self.outside) + len(self.entered)
        if not isinstance(loss, Value):
            unknown = "no recorded torch call that reads a weight leads to the loss"
            return Cut(Program(calls, -1, slots, unknown), ())
        return Cut(Program(calls, loss.id, slots, *self._obstacle()), (*self.outside, *self.entered))

    def _numbered(self, call: Call) -> Call:
        """The call with its numbers in the slots behind those of all tensors, whose number is known by now."""
        behind = lambda a: Outside(len(self.outside) - 1 - a.slot) if isinstance(a, Outside) and a.slot < 0 else a
        return msgspec.structs.replace(call, args=tuple(map(behind, call.args))) if self.entered else call

    def _arguments(self, entry: Entry) -> tuple[Any, ...]:
        if not takes_numbers(entry):
            return mapped(_tupled(entry.args), self._ref)
        return tuple(self._number(a, entry) if is_number(a) else mapped(a, self._ref) for a in _tupled(entry.args))

    def _number(self, value: int | float, entry: Entry) -> int | float | Outside:
        self.numbers += 1
        if self.numbers - 1 not in self.entering:
            return value
        self.entered.append(Number(value, entry.results[0].dtype).tensor())
        return Outside(-len(self.entered))

    def _obstacle(self) -> tuple[str, tuple[str, ...]]:
        """Why the program cannot be run again, and the functions that alone are the reason."""
        if not self.own:
            return self.missing, ()
        why = f"a torch.autograd.Function with a backward of its own ({next(iter(self.own))})"
        return why, tuple(self.own) if all(self.own.values()) and not self.missing else ()

    def _call(self, entry: Entry) -> Call:
        if entry.before is not None:  # what stood there before the change is what the program starts from
            self.refs[id(entry.args[0])] = self._enter(entry.before)
        self.cutting = not entry.grad or bool(_op(entry).cuts)
        args, kwargs = self._arguments(entry), mapped(entry.kwargs, self._ref)
        results = entry.results
        self._untraceable(entry)
        outs = tuple(range(self.count, self.count + len(results)))
        self.count += len(results)
        self.refs.update((id(t), Value(n)) for t, n in zip(results, outs, strict=True))
        shape, *also = (tuple(result.shape) for result in results)
        return Call(function(entry.func), args, kwargs, outs, entry.sites, entry.grad, shape, entry.cast, tuple(also))

    def _with_own_gradients(self, entries: list[Entry]) -> list[Entry]:
        """The calls inside functions that bring their own backward run without gradients, and cut none."""
        made: dict[int, str] = {}
        found = []
        for entry in reversed(entries):
            own = "" if entry.grad else next((o for t in entry.results if (o := made.get(id(t)) or owner(t))), "")
            made.update((id(t), own) for t in tensors((entry.args, entry.kwargs)) if own and not t.requires_grad)
            if own and own not in PLAIN:
                self.own[own] = self.own.get(own, False) or _computes(entry)
            found.append(entry._replace(grad=True) if own else entry)
        return found[::-1]

    def _untraceable(self, entry: Entry) -> None:
        if not function(entry.func):
            unnamed = getattr(entry.func, "__name__", entry.func)
            self.missing = self.missing or f"a call of a function without a public name in torch ({unnamed})"

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
        self.missing = self.missing or f"a torch call with an argument of type {type(leaf).__name__}"
        return shown(leaf)

    def _new(self, tensor: Tensor) -> Ref:
        if self.weight(tensor):
            self.refs[id(tensor)] = Weight(self.name(tensor))
            return self.refs[id(tensor)]
        # A leaf is an input that asks for its own gradient; what is cut off at once is data, whatever made it.
        if tensor.requires_grad and not tensor.is_leaf and not self.cutting:
            self.missing = self.missing or f"a value computed outside the recorded torch calls ({_maker(tensor)})"
        self.refs[id(tensor)] = self._enter(tensor)
        return self.refs[id(tensor)]

    def _enter(self, tensor: Tensor) -> Outside:
        self.outside.append(tensor)
        return Outside(len(self.outside) - 1)


def owner(tensor: Tensor) -> str:
    """The name of the torch.autograd.Function that returned a tensor ("" for none)."""
    try:
        made = tensor.grad_fn
    except RuntimeError:  # a view whose base was changed in place under other gradient rules
        return ""
    own = isinstance(made, torch.autograd.function.BackwardCFunction)
    return type(made).__name__.removesuffix("Backward") if own else ""


def _computes(entry: Entry) -> bool:
    """Whether a call does more than hand numbers on."""
    return _op(entry).kind != "shape"


def _op(entry: Entry) -> ops.Op:
    return ops.of(function(entry.func).rpartition(".")[2].removesuffix("_"))


def takes_numbers(entry: Entry) -> bool:
    """Whether a call takes a number as it takes a tensor: sums, products, quotients."""
    op = _op(entry)
    return op.kind == "arithmetic" and bool(op.linear) and bool(entry.results)


def is_number(argument: Any) -> bool:
    """Whether an argument is a plain number."""
    return type(argument) in (int, float)


def copies(entry: Entry) -> bool:
    """Whether a call gives the numbers of its argument and nothing else."""
    return entry.func is Tensor.__deepcopy__ or _op(entry).hands_on == "all"


def _steady(options: dict[str, Any]) -> dict[str, Any]:
    """Batch norm's options without the newest batch's share: it falls by itself, and makes no other program."""
    return {k: v for k, v in options.items() if k != "momentum"}


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
    return _function(func) if func.__hash__ is not None else ""


@functools.cache
def _function(func: Any) -> str:
    if func is torch.autograd.grad:
        return DERIVATIVE
    if func in TWINS:
        return TWINS[func]
    name = getattr(func, "__name__", "")
    return f"torch.{name}" if name in PRIVATE and func is getattr(torch, name) else name_of(func) or ""
