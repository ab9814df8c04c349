"""From a value to the loss: whether what makes the value larger makes the loss larger, and by which calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unstuck.tape.program import Call, Outside, Program, Value

KEEPING = {
    *("mean", "sum", "nanmean", "squeeze", "unsqueeze", "view", "reshape", "flatten", "contiguous", "clone", "to"),
    *("float", "double", "sqrt", "log", "log1p", "exp", "stack", "cat", "getitem", "nan_to_num"),
}
"""Calls that grow with what they are given."""
EVEN = {"square", "abs"}
MOST = 60


@dataclass(frozen=True)
class Way:
    """The way from a value to the loss."""

    sign: int
    """1: the loss grows with the value; -1: it falls."""
    turns: tuple[Call, ...]
    """The calls that turn the sign."""
    mixed: bool
    """Other terms are added on the way."""
    squared: bool
    """A square or an absolute value is on the way: below it, the sign says nothing."""


def way(program: Program, value: Value, squared: bool = False) -> Way | None:
    """The way to the loss; None where it parts, or goes through a call whose direction is not known."""
    here, sign, turns, mixed = value, 1, [], False
    for _ in range(MOST):
        if here.id == program.loss:
            return Way(sign, tuple(turns), mixed, squared)
        users = program.users(here)
        step = _step(users[0], here) if len(users) == 1 else None
        if step is None:
            return None
        if step == "even":
            sign, turns, squared = 1, [], True
        else:
            sign *= step
            turns += [users[0]] if step < 0 else []
        mixed = mixed or _joins(users[0], here)
        here = Value(users[0].outs[0])
    return None


def _step(call: Call, value: Value) -> Any:
    """1, -1, "even", or None where the direction is not known."""
    if call.name in KEEPING:
        return 1
    if call.name in ("neg", "negative"):
        return -1
    if call.name in EVEN or (call.name in ("pow", "float_power") and call.argument(1, "exponent") in (2, 4, 2.0, 4.0)):
        return "even"
    if call.name in ("mul", "imul", "rmul", "div", "truediv", "itruediv"):
        return _scaled(call, value)
    if call.name in ("add", "iadd", "radd"):
        return 1
    return _subtracted(call, value) if call.name in ("sub", "isub", "rsub", "subtract") else None


def _scaled(call: Call, value: Value) -> Any:
    refs = call.refs()
    if len(refs) == 2 and refs[0] == refs[1] and "div" not in call.name:
        return "even"
    numbers = [a for a in call.args if isinstance(a, int | float) and not isinstance(a, bool)]
    if len(refs) != 1 or len(numbers) != 1 or not numbers[0] or ("div" in call.name and call.args[0] != value):
        return None
    return 1 if numbers[0] > 0 else -1


def _subtracted(call: Call, value: Value) -> int:
    first = bool(call.args) and call.args[0] == value
    return 1 if first != (call.name == "rsub") else -1


def _joins(call: Call, value: Value) -> bool:
    others = [r for r in call.refs() if r != value]
    return any(isinstance(r, Value | Outside) for r in others)
