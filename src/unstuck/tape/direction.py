"""From a value to the loss: whether a larger value makes a larger loss, and by which calls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

from unstuck.tape.ops import SUBTRACTIONS
from unstuck.tape.program import Call, Outside, Program, Ref, Value

EVEN = {"square", "abs", "norm"}
"""Calls that are the same for a number and its negative."""
Step = Literal[-1, 1, "even", None]


@dataclass(frozen=True)
class Way:
    """The way from a value to the loss."""

    sign: int = 1
    """1: the loss rises with the value; -1: it falls."""
    turns: tuple[Call, ...] = ()
    """The calls that turn the sign."""
    mixed: bool = False
    """Other terms are added on the way."""
    squared: bool = False
    """A square or an absolute value is on the way: what is in front of it has no sign."""
    after: int = 0
    """How many of the turns stand behind the last term that is added: they turn all terms."""


def way(program: Program, value: Value) -> Way | None:
    """The way to the loss; None if a call on it may both raise and lower its result, or two branches disagree."""
    found: dict[Ref, Way | None] = {value: Way()}
    for call in program.calls:
        read = [r for r in dict.fromkeys(call.refs()) if r in found]
        if read and not call.op.cuts:
            joined = reduce(_joined, (_through(call, r, found[r]) for r in read))
            found.update((Value(out), joined) for out in call.outs)
    return found.get(Value(program.loss))


def _through(call: Call, ref: Ref, way: Way | None) -> Way | None:
    step = _step(call, ref)
    if way is None or step is None:
        return None
    adds = any(r != ref and isinstance(r, Value | Outside) for r in call.refs())
    if step == "even":
        return Way(1, (), way.mixed or adds, True)
    turns, after = way.turns + (call,) * (step < 0), 0 if adds else way.after + (step < 0)
    return replace(way, sign=way.sign * step, turns=turns, mixed=way.mixed or adds, after=after)


def _joined(one: Way | None, other: Way | None) -> Way | None:
    if one is None or other is None or one.sign != other.sign:
        return None
    return Way(one.sign, one.turns, True, one.squared or other.squared)


def _step(call: Call, ref: Ref) -> Step:
    """1, -1, "even", or None where the direction is not known."""
    if call.name in SUBTRACTIONS:
        return call.op.monotone if call.args and call.args[0] == ref else -call.op.monotone  # type: ignore[return-value]
    if call.name in EVEN or (call.op.name == "pow" and call.argument(1, "exponent") in (2, 4)):
        return "even"
    return _scaled(call, ref) if call.op.name in ("mul", "div") else (call.op.monotone or None)


def _scaled(call: Call, ref: Ref) -> Step:
    """The sign of the one number that it is multiplied by or divided by."""
    refs = call.refs()
    if call.op.name == "mul" and len(refs) == 2 and refs[0] == refs[1]:
        return "even"
    numbers = [a for a in call.args if isinstance(a, int | float) and not isinstance(a, bool)]
    if len(refs) != 1 or len(numbers) != 1 or not numbers[0] or (call.op.name == "div" and call.args[0] != ref):
        return None
    return 1 if numbers[0] > 0 else -1
