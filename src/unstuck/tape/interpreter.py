"""From a program to a function of weights and batch: the calls run again, one by one, without side effects."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import get_overridable_functions, resolve_name

from unstuck.tape.ops import ACTIVATIONS, TABLE
from unstuck.tape.program import DERIVATIVE, PRIVATE, Call, Constant, Named, Outside, Program, Value, Weight, mapped


class CannotReplay(Exception):
    """The program cannot be run again; the message says why."""


Values = dict[int, Tensor]


@functools.cache
def table() -> dict[str, Callable[..., Any]]:
    """Torch's overridable functions by their public name: the only functions that a tape may name."""
    found: dict[str, Callable[..., Any]] = {}
    for functions in get_overridable_functions().values():
        for function in functions:
            name = resolve_name(function)
            if name:
                found[name] = function
    # Torch's own list leaves some out that do ask for overrides: hardswish, hardsigmoid, Tensor.unflatten.
    homes = (("torch.nn.functional", torch.nn.functional), ("torch.Tensor", Tensor))
    ours = ((f"{home}.{op.name}", getattr(place, op.name, None)) for op in TABLE for home, place in homes)
    private = {f"torch.{name}": getattr(torch, name) for name in PRIVATE}
    return {**private, **{name: function for name, function in ours if callable(function)}, **found}


def resolve(name: str) -> Callable[..., Any]:
    """The torch function of that name; raises CannotReplay for any other."""
    try:
        return table()[name]
    except KeyError:
        raise CannotReplay(f"{name or 'a call without a name'} is not a torch function that can be replayed") from None


def known(name: str) -> bool:
    """Whether a call of that name can be run again."""
    return name in _CASES or name in table()


CPU = torch.device("cpu")


@dataclass(frozen=True)
class Way:
    """How the calls are run. `literal`: in place where the script was, with its views, and one recurrent layer at once;
    lanes cannot do that. `device`: where the tensors are, and those that a call makes."""

    device: torch.device = CPU
    literal: bool = False


CAREFUL = Way()


def run(
    program: Program,
    weights: dict[str, Tensor],
    outside: tuple[Tensor, ...],
    constants: dict[str, Tensor],
    way: Way = CAREFUL,
    kept: Collection[int] | None = None,
) -> Values:
    """Run every call of a program; returns the values it makes by number, all of them or those that are `kept`."""
    made: Values = {}
    for _, values in walk(program, weights, outside, constants, way, kept):
        made = values
    return made


def walk(
    program: Program,
    weights: dict[str, Tensor],
    outside: tuple[Tensor, ...],
    constants: dict[str, Tensor],
    way: Way = CAREFUL,
    kept: Collection[int] | None = (),
) -> Iterator[tuple[Call, Values]]:
    """Each call of a program once it has run, with the values that are still needed, its arguments among them.

    So a reading of all layers holds one layer's values at a time. `kept`: values to hold to the end; None for all.
    """
    values: Values = {}
    spaces = (way, values, weights, outside, constants)
    over = {} if kept is None else _over(program, kept)
    for at, call in enumerate(program.calls):
        out = _call(call, functools.partial(_read, *spaces), way)
        values.update(zip(call.outs, _tensors(out), strict=False))
        del out
        yield call, values
        for number in over.get(at, ()):
            values.pop(number, None)


def _over(program: Program, kept: Collection[int]) -> dict[int, list[int]]:
    """By the place of a call: the values that nothing reads after it."""
    last: dict[int, int] = {}
    for at, call in enumerate(program.calls):
        last.update((out, at) for out in call.outs)
        last.update((ref.id, at) for ref in call.refs() if isinstance(ref, Value))
    over: dict[int, list[int]] = {}
    for number, at in last.items():
        if number not in kept:
            over.setdefault(at, []).append(number)
    return over


def _read(
    way: Way, values: Values, weights: dict[str, Tensor], outside: Any, constants: dict[str, Tensor], leaf: Any
) -> Any:
    match leaf:
        case Value(id=number):
            return values[number]
        case Weight(name=name):
            return weights[name]
        case Outside(slot=slot):
            return outside[slot]
        case Constant(key=key):
            return constants[key]
        case Named():
            return _named(leaf, way)
    return leaf


def _named(leaf: Named, way: Way) -> Any:
    if leaf.kind == "ellipsis":
        return ...
    if leaf.kind == "device":
        return way.device
    value = getattr(torch, leaf.name, None)
    if not isinstance(value, torch.dtype | torch.layout | torch.memory_format):
        raise CannotReplay(f"{leaf.name} is not a dtype, layout or memory format")
    return value


def _call(call: Call, read: Callable[[Any], Any], way: Way) -> Any:
    args, kwargs = mapped(call.args, read), mapped(call.kwargs, read)
    if isinstance(kwargs.get("device"), str):
        kwargs = {**kwargs, "device": way.device}
    kind = way.device.type
    cast = torch.autocast(kind, getattr(torch, call.cast), cache_enabled=False) if call.cast else nullcontext()
    case = (_LITERAL if way.literal else _CASES).get(call.function, _literal if way.literal else _plain)
    with cast, torch.no_grad() if way.literal and not call.grad else nullcontext():
        out = case(call.function, args, kwargs)
    return out if call.grad else _cut(out)


def _cut(out: Any) -> Any:
    return mapped(tuple(_tensors(out)), Tensor.detach) if not isinstance(out, Tensor) else out.detach()


def _tensors(out: Any) -> Iterable[Tensor]:
    if isinstance(out, Tensor):
        yield out
    elif isinstance(out, tuple | list):
        for part in out:
            yield from _tensors(part)


def _plain(name: str, args: Any, kwargs: Any) -> Any:
    """The call itself, or its twin that leaves its arguments alone."""
    if kwargs.get("inplace"):
        kwargs = {**kwargs, "inplace": False}
    twin = name.removesuffix("_")
    if twin == name or name.endswith("__"):
        return resolve(name)(*args, **kwargs)
    if twin in table():
        return table()[twin](*args, **kwargs)
    return resolve(name)(args[0].clone(), *args[1:], **kwargs)


def _literal(name: str, args: Any, kwargs: Any) -> Any:
    """The call itself, in place where it is."""
    return resolve(name)(*args, **kwargs)


def _set_in_place(name: str, args: Any, kwargs: Any) -> Any:
    tensor, index, value = args
    tensor[index] = value
    return tensor


def _to(name: str, args: Any, kwargs: Any) -> Any:
    """`Tensor.to` another dtype; a device that it names is the replay's own already."""
    args = tuple(args[0].device if isinstance(a, str) else a for a in args)
    return args[0].to(*args[1:], **kwargs)


def _derivative(name: str, args: Any, kwargs: Any) -> Any:
    """A gradient inside the loss (a penalty on it, forces): only plain autograd can take it."""
    names = ("outputs", "inputs", "grad_outputs", "retain_graph", "create_graph")
    given = {**dict(zip(names, args, strict=False)), **kwargs, "create_graph": True}
    return torch.autograd.grad(**{k: v for k, v in given.items() if k != "retain_graph"})


def _set_item(name: str, args: Any, kwargs: Any) -> Any:
    tensor, index, value = args
    # Under vmap a shared buffer cannot take a lane's value in place: this makes it the lane's own first.
    own = tensor + torch.zeros_like(value, dtype=tensor.dtype).sum() if isinstance(value, Tensor) else tensor.clone()
    own[index] = value
    return own


def _batch_norm(name: str, args: Any, kwargs: Any) -> Any:
    """Batch statistics where it trains; running statistics are side effects and are left out."""
    given = dict(
        zip(
            ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"),
            args,
            strict=False,
        )
    )
    given |= kwargs
    if given.get("training"):
        given |= {"running_mean": None, "running_var": None}
    return torch.nn.functional.batch_norm(**given)


def _relu(name: str, args: Any, kwargs: Any) -> Any:
    return torch.relu(args[0] if args else kwargs["input"])


def _activation(name: str, args: Any, kwargs: Any) -> Any:
    # The only flag that a functional activation takes by position is `inplace`, the last; rrelu also takes `training`.
    args = tuple(False if a is True else a for a in args)
    return resolve(name)(*args, **{**kwargs, "inplace": False} if "inplace" in kwargs else kwargs)


def _embedding(name: str, args: Any, kwargs: Any) -> Any:
    """A table look-up with dense gradients: sparse ones have no lanes."""
    names = ("input", "weight", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse")
    return torch.nn.functional.embedding(**{**dict(zip(names, args, strict=False)), **kwargs, "sparse": False})


def _detach(name: str, args: Any, kwargs: Any) -> Any:
    return args[0].detach()


def _same(name: str, args: Any, kwargs: Any) -> Any:
    return args[0]


def _lstm(name: str, args: Any, kwargs: Any) -> Any:
    """The layer in plain operations: oneDNN's own kernel for it cannot be run in lanes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.backends.mkldnn.flags(enabled=False):
            return resolve(name)(*args, **kwargs)


_CASES: dict[str, Callable[[str, Any, Any], Any]] = {
    "torch.lstm": _lstm,
    "torch.Tensor.__setitem__": _set_item,
    "torch.nn.functional.batch_norm": _batch_norm,
    "torch.nn.functional.embedding": _embedding,
    "torch.nn.functional.relu": _relu,
    **{f"torch.nn.functional.{name}": _activation for name in ACTIVATIONS - {"relu", "rrelu"}},
    "torch.Tensor.data.__get__": _detach,
    "torch.Tensor.detach_": _detach,
    "torch.Tensor.requires_grad_": _same,
    "torch.Tensor.cpu": _same,
    "torch.Tensor.cuda": _same,
    "torch.Tensor.to": _to,
    DERIVATIVE: _derivative,
}
_LITERAL = {
    **{name: case for name, case in _CASES.items() if case in (_batch_norm, _embedding, _same, _to, _derivative)},
    "torch.Tensor.__setitem__": _set_in_place,
}
"""What is not run as it stands where everything else is: running statistics are left alone, gradients are dense, and
nothing leaves the device."""
