"""Interval arithmetic on torch calls: between which numbers a result lies, given the same of the arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from unstuck.tape.ops import INF
from unstuck.tape.program import Call, leaves

Interval = tuple[float, float]
ANY: Interval = (-INF, INF)
WITHIN = {"mean", "amax", "amin", "max", "min", "median", "getitem"}
"""Reductions whose result lies between the argument's bounds."""


def bounds(call: Call, of: Callable[[object], Interval]) -> Interval:
    """An interval that holds every number of a call's result; `of` gives that of an argument."""
    op, given = call.op, [of(a) for a in call.args]
    if op.kind == "joining":
        return _hull(of(leaf) for leaf in leaves(call.args[:1]))
    if not given:
        return op.range
    if op.kind == "arithmetic":
        return _ARITHMETIC[op.name](*given) if len(given) <= 2 and not call.kwargs else ANY
    if op.name == "maximum" and len(given) == 2:
        return max(given[0][0], given[1][0]), max(given[0][1], given[1][1])
    if op.name == "minimum" and len(given) == 2:
        return min(given[0][0], given[1][0]), min(given[0][1], given[1][1])
    return _of_one(call, *given[0])


def _of_one(call: Call, low: float, high: float) -> Interval:
    op = call.op
    if op.kind == "dropout" and op.hands_on:  # what is not dropped is divided by the share that is kept
        rate = call.argument(1, "p", 0.5)
        kept = 1 - rate if isinstance(rate, int | float) and rate < 1 else 1.0
        return min(low, 0.0) / kept, max(high, 0.0) / kept
    if op.hands_on or op.kind == "pooling" or op.name in WITHIN:
        return low, high
    if op.name == "sum":
        return (0.0 if low >= 0 else -INF), (0.0 if high <= 0 else INF)
    if op.name in ("clamp", "clamp_min", "clamp_max", "hardtanh"):
        return _clamped(call, low, high)
    return op.range


def _clamped(call: Call, low: float, high: float) -> Interval:
    names = ("min_val", "max_val") if call.op.name == "hardtanh" else ("min", "max")
    default = call.op.range if call.op.name == "hardtanh" else (None, None)
    least = None if call.op.name == "clamp_max" else call.argument(1, names[0], default[0])
    most = call.argument(1 if call.op.name == "clamp_max" else 2, names[1], default[1])
    if call.op.name == "clamp_min":
        most = None
    least, most = (v if isinstance(v, int | float) else None for v in (least, most))
    low, high = (low, high) if least is None else (max(low, least), max(high, least))
    return (low, high) if most is None else (min(low, most), min(high, most))


def _hull(intervals: Iterable[Interval]) -> Interval:
    low, high = zip(*intervals, strict=True)
    return min(low), max(high)


def _negated(a: Interval) -> Interval:
    return -a[1], -a[0]


def _added(a: Interval, b: Interval) -> Interval:
    return a[0] + b[0], a[1] + b[1]


def _multiplied(a: Interval, b: Interval) -> Interval:
    corners = [0.0 if math.isnan(x * y) else x * y for x in a for y in b]
    return min(corners), max(corners)


def _divided(a: Interval, b: Interval) -> Interval:
    return ANY if b[0] <= 0 <= b[1] else _multiplied(a, (1 / b[1], 1 / b[0]))


def _power(a: Interval, b: Interval) -> Interval:
    return (0.0, INF) if b[0] == b[1] and b[0] % 2 == 0 else ANY


_ARITHMETIC: dict[str, Callable[..., Interval]] = {
    "add": _added,
    "sub": lambda a, b: _added(a, _negated(b)),
    "rsub": lambda a, b: _added(b, _negated(a)),
    "mul": _multiplied,
    "div": _divided,
    "rtruediv": lambda a, b: _divided(b, a),
    "neg": _negated,
    "pow": _power,
    "rpow": lambda a, b: (0.0, INF) if b[0] > 0 else ANY,
}
