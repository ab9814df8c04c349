"""A program run on descriptions instead of tensors: what is known of each value, whatever the batch and weights hold.

The descriptions of a call's arguments and the facts of `unstuck.tape.ops` make the description of its result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from unstuck.tape.bounds import ANY, Interval, bounds
from unstuck.tape.program import Call, Program, Ref, Value, Weight

CORRECTIONS = {"clamp", "log", "add"}
"""Calls that a probability may pass on its way to a loss: kept away from zero, made a logarithm."""
Axis = tuple[int, int]
"""A value that a softmax made, and one of its axes."""


@dataclass(frozen=True)
class Known:
    """What is known of one value."""

    bounds: Interval = ANY
    limit: Call | None = None
    """The call that set the bounds."""
    squashed: tuple[Call, ...] = ()
    """The calls that made it a probability or the logarithm of one, in order; more than one is one too many."""
    axes: tuple[Axis | None, ...] = ()
    """Which axis of which softmax's result each of its axes is; () behind no softmax."""
    weighted: bool = False
    """A softmax's result times another value."""
    taught: bool = False
    """A gradient that reaches it goes on to a weight."""
    shape: tuple[int, ...] = ()


class Knowns(dict[Ref, Known]):
    """What is known of each value of a program."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program
        for call in program.calls:
            known = self._made(call)
            alike = known if call.op.kind in ("shape", "choice") else Known(taught=known.taught)
            self.update({Value(out): known if n == 0 else alike for n, out in enumerate(call.outs)})

    def __missing__(self, ref: Ref) -> Known:
        return Known(taught=isinstance(ref, Weight))

    def _made(self, call: Call) -> Known:
        given = [self[r] for r in call.refs()]
        first = given[0] if given else Known()
        found = bounds(call, self._interval)
        limits = [k.limit for k in given if k.limit is not None]
        sets = call.op.bounded or call.op.name.startswith("clamp") or not limits
        limit = call if sets else limits[-1]
        return Known(
            found,
            limit if found != ANY else None,
            _squashed(call, first),
            _axes(call, given),
            (call.op.name == "mul" and len(given) > 1) or (call.op.hands_on == "all" and first.weighted),
            not blocks(call) and any(k.taught for k in given),
            call.shape,
        )

    def _interval(self, argument: object) -> Interval:
        if isinstance(argument, Ref):
            return self[argument].bounds
        if isinstance(argument, int | float) and not isinstance(argument, bool):
            return float(argument), float(argument)
        return ANY

    def cuts(self) -> list[Call]:
        """The calls that keep a gradient from a weight."""
        return [c for c in self.program.calls if blocks(c) and any(self[r].taught for r in c.refs())]

    def mixed_along(self, softmax: Call) -> int | None:
        """The axis along which a product or a sum of products adds up a softmax's result; None unless just one."""
        made = softmax.outs[0]
        axes = {axis[1] for call in self.program.calls for axis in self._summed(call) if axis and axis[0] == made}
        return axes.pop() if len(axes) == 1 and len(self.program.users(Value(made))) == 1 else None

    def _summed(self, call: Call) -> Iterator[Axis | None]:
        """The axes over which a call adds up products."""
        given = [self[r] for r in call.refs()]
        if call.op.kind == "product" and len(given) == 2:
            left, right = reversed(given) if call.name == "rmatmul" else given
            yield from (*left.axes[-1:], *right.axes[-2:-1])
        elif call.name == "sum" and given and given[0].weighted:
            along = call.argument(1, "dim")
            along = along[0] if isinstance(along, list | tuple) and len(along) == 1 else along
            yield from given[0].axes[along:][:1] if isinstance(along, int) else ()


def blocks(call: Call) -> bool:
    """Whether no gradient comes back through a call."""
    return not call.grad or bool(call.op.cuts)


def _squashed(call: Call, first: Known) -> tuple[Call, ...]:
    if call.op.gives:
        return (*first.squashed, call)
    kept = call.op.hands_on or (call.op.name in CORRECTIONS and len(call.refs()) == 1)
    return first.squashed if kept else ()


def _axes(call: Call, given: list[Known]) -> tuple[Axis | None, ...]:
    if call.op.gives and call.op.mixes == "dim":
        return tuple((call.outs[0], axis) for axis in range(len(call.shape)))
    known = next((k for k in given if k.axes), None)
    if known is None:
        return ()
    if call.op.elementwise:
        return (None,) * (len(call.shape) - len(known.axes)) + known.axes
    return _moved(call, list(known.axes), known.shape) if call.op.kind == "shape" else ()


def _moved(call: Call, axes: list[Axis | None], shape: tuple[int, ...]) -> tuple[Axis | None, ...]:
    """The axes behind a call that turns, adds or drops some of them."""
    rest = call.args[1:] or tuple(call.kwargs.values())
    numbers = list(rest[0] if len(rest) == 1 and isinstance(rest[0], list | tuple) else rest)
    whole = all(isinstance(n, int) for n in numbers)
    match call.op.name:
        case "permute" if whole and len(numbers) == len(axes):
            return tuple(axes[n] for n in numbers)
        case "transpose" | "swapaxes" if whole and len(numbers) == 2:
            one, other = numbers
            axes[one], axes[other] = axes[other], axes[one]
            return tuple(axes)
        case "t" | "T" | "mT":
            return (*axes[:-2], *reversed(axes[-2:]))
        case "unsqueeze" if whole and numbers:
            axes.insert(numbers[0] % (len(axes) + 1), None)
            return tuple(axes)
        case "squeeze" if whole and numbers:
            return tuple(a for n, a in enumerate(axes) if n != numbers[0] % len(axes) or shape[n] != 1)
    same = next(
        (n for n, (a, b) in enumerate(zip(reversed(shape), reversed(call.shape), strict=False)) if a != b), None
    )
    kept = min(len(shape), len(call.shape)) if same is None else same  # trailing axes of equal size stay what they were
    return (None,) * (len(call.shape) - kept) + tuple(axes[len(axes) - kept :])
