"""What the rules on saturated activations share: the factor before an activation, and the layer before that."""

from __future__ import annotations

from collections.abc import Sequence

from unstuck.diagnosis.model import Remedy
from unstuck.remedies.redraw_weights import RedrawWeights
from unstuck.remedies.soften import Soften
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Program

STEEP = 2.0
"""A factor above this before a sigmoid is worth removing: at 2, the slope for an input of 1 falls from 0.20 to 0.10."""


def before(program: Program, call: Call) -> tuple[Call | None, Call | None]:
    """The multiplication by a number before a call, and the layer before that; None for what there is not."""
    scale = None
    for _, here in program.back(call.value()):
        if here.op.kind in ("layer", "product", "recurrent"):
            return scale, here
        if _factor(here) is not None:
            scale = scale or here
        elif not here.op.hands_on and here.op.name not in ("add", "sub"):
            break
    return scale, None


def _factor(call: Call) -> float | None:
    """By how much a call multiplies."""
    numbers = [a for a in call.args if isinstance(a, int | float) and not isinstance(a, bool)]
    if call.op.name not in ("mul", "div") or len(numbers) != 1 or not numbers[0]:
        return None
    return float(numbers[0]) if call.op.name == "mul" else 1.0 / float(numbers[0])


def steep(call: Call | None) -> float:
    """The size of a factor; 1 if there is none."""
    return abs(_factor(call) or 1.0) if call is not None else 1.0


def milder(program: Program, calls: Sequence[Call], tape: Tape) -> tuple[Remedy, ...]:
    """Remedies for saturated activations: remove the steep factors; where there is none, redraw the weights."""
    found = [before(program, call) for call in calls]
    sites = dict.fromkeys(s.site for s, _ in found if s is not None and s.site is not None and steep(s) > STEEP)
    trained = {p.name for p in tape.parameters if p.trainable}
    layers = (layer for scale, layer in found if layer is not None and steep(scale) <= STEEP)
    names = dict.fromkeys(name for layer in layers for name in layer.weights() if name in trained)
    softened: tuple[Remedy, ...] = (Soften(next(iter(sites)), tuple(sites)[1:]),) if sites else ()
    return (*softened, RedrawWeights(tuple(names))) if names else softened
