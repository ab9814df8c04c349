"""What the rules about saturated functions share: the factor in front, and the weights before it."""

from __future__ import annotations

from collections.abc import Sequence

from unstuck.diagnosis.model import Remedy
from unstuck.remedies.redraw_weights import RedrawWeights
from unstuck.remedies.soften import Soften
from unstuck.signals.weights import LAYERS
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Program, Ref, Value, Weight

SCALING = {"mul", "rmul", "imul", "div", "truediv", "rtruediv"}
PASSING = {
    "squeeze",
    "unsqueeze",
    "view",
    "reshape",
    "flatten",
    "getitem",
    "add",
    "radd",
    "sub",
    "transpose",
    "permute",
}
STEEP = 2.0
"""A factor above this in front of a sigmoid is worth taking out."""


def before(program: Program, call: Call) -> tuple[Call | None, Call | None]:
    """(the multiplication by a number in front of a call, the layer in front of that), None where there is none."""
    scale, here = None, _maker(program, call)
    while here is not None and here.name not in LAYERS:
        scale = here if scale is None and _factor(here) is not None else scale
        if here.name not in PASSING and _factor(here) is None:
            return scale, None
        here = _maker(program, here)
    return scale, here


def _maker(program: Program, call: Call) -> Call | None:
    ref: Ref | None = next((r for r in call.refs() if isinstance(r, Value)), None)
    return program.maker(ref) if ref is not None else None


def _factor(call: Call) -> float | None:
    """By how much a call multiplies."""
    numbers = [a for a in call.args if isinstance(a, int | float) and not isinstance(a, bool)]
    if call.name not in SCALING or len(numbers) != 1 or not numbers[0]:
        return None
    return float(numbers[0]) if "mul" in call.name else 1.0 / float(numbers[0])


def steep(call: Call | None) -> float:
    """The size of a factor (1 where there is none)."""
    return abs(_factor(call) or 1.0) if call is not None else 1.0


def milder(program: Program, calls: Sequence[Call], tape: Tape) -> tuple[Remedy, ...]:
    """What may bring saturated functions back: without their steep factors; those without one, from other weights."""
    found = [before(program, call) for call in calls]
    sites = dict.fromkeys(s.site for s, _ in found if s is not None and s.site is not None and steep(s) > STEEP)
    trained = {p.name for p in tape.parameters if p.trainable}
    layers = (layer for scale, layer in found if layer is not None and steep(scale) <= STEEP)
    names = dict.fromkeys(
        r.name for layer in layers for r in layer.refs() if isinstance(r, Weight) and r.name in trained
    )
    softened: tuple[Remedy, ...] = (Soften(next(iter(sites)), tuple(sites)[1:]),) if sites else ()
    return (*softened, RedrawWeights(tuple(names))) if names else softened
