"""A NaN or an infinite gradient is born at one call.

## Why it hurts
A single NaN in a gradient makes every weight that it reaches NaN in the same step, and from then on every output and
every loss. It comes from a place at which a function has no finite value or slope: 0/0, the logarithm of 0, the square
root or the norm at 0 (its slope is infinite there, and infinity times the zero of a mask is NaN), a power below 1 at 0,
arccos at 1, a softmax of a row that is masked out entirely, a mean over no element. The forward value may look right.

## How it is seen
The recorded training is run again up to the first step whose loss or gradient is not finite; the calls of that step are
gone through one by one, forward or backward, until the one is found that makes the first NaN or infinity from finite
numbers. It is a cause where the function itself has no finite answer for what it is given, and the losses before it are
of ordinary size; a run whose numbers had grown before is left to the rules about rates and scales.

## What to do
Keep the input away from that place: add a small number under the root, clamp the divisor or what the logarithm is
given, let no row be masked out entirely, use `log_softmax` in the place of the logarithm of a softmax. `torch.where`
around the call is not enough: the gradient of the branch that is not taken is still NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from unstuck.diagnosis.model import Effect, Evidence, Finding, proven
from unstuck.diagnosis.stages import Stage
from unstuck.micro import birth as example
from unstuck.micro.birth import Birth
from unstuck.micro.singular import ARCS, DIVISIONS, LOGARITHMS, POWERS, ROOTS
from unstuck.remedies.keep_off import KeepOff
from unstuck.rules._places import backward_site
from unstuck.tape.model import Tape

STAGE = Stage.OUTPUT
NEVER_MEANT = True
FAULT = "nonfinite-gradient"
SMALL = 1e-6
"""What a divisor is kept at least at: ten times the relative precision of float32."""
SMALLER = 1e-8
"""What a root or a logarithm is given at least: their values there, 1e-4 and -18, are of ordinary size."""
FIRST = 2
"""Steps that have not moved the weights more than once: what is not finite in them, no training explains."""
EDGE = 1 - 1e-6
"""How far arcs go: their slope there is 700."""


def check(birth: Birth | None, tape: Tape) -> Iterator[Finding]:
    """Name the call; where it could not be looked for, say that the first step is not finite."""
    if birth is None or birth.place == "update":
        yield from _unexplained(tape)
    elif birth.call is not None and birth.sound and (birth.what.kind != "unknown" or birth.at < FIRST):
        yield _finding(birth)


def _finding(birth: Birth) -> Finding:
    assert birth.call is not None
    what = birth.what
    share = f"{what.entries} of {what.of}" if what.of else "all"
    evidence = (
        Evidence("step of the first NaN or infinity", birth.at + 1, "none"),
        Evidence(f"entries of what {birth.call.name}() is given that are singular", share, "0"),
    )
    sure = f"every loss before step {birth.at + 1} is of ordinary size, and {birth.why}"
    effect = proven(sure) if what.own else Effect(because="an overflow may come from the scale of what enters")
    return Finding(
        FAULT, birth.why, birth.call.site, evidence, tuple(_remedies(birth)), "error", known="observed", effect=effect
    )  # fmt: skip


def _remedies(birth: Birth) -> Iterator[KeepOff]:
    call, what = birth.call, birth.what
    if call is None or call.site is None or not what.own or what.kind not in ("zero", "negative", "edge"):
        return
    name, second = call.name, call.name in DIVISIONS and call.name not in ("rtruediv", "reciprocal")
    if name in ARCS and name != "acosh":
        yield KeepOff(call.site, name, what.argument, -EDGE, EDGE)
    elif name in DIVISIONS and birth.lowest >= 0:
        # Divisors that are whole numbers are counts, and nothing divided by a count of 0 is nothing.
        yield KeepOff(
            call.site, name, what.argument, 1.0 if birth.whole else SMALL, second=second or name == "rtruediv"
        )
    elif name in ROOTS | LOGARITHMS | POWERS and name != "rpow":
        yield KeepOff(call.site, name, what.argument, SMALLER)


def _unexplained(tape: Tape) -> Iterator[Finding]:
    """The first losses are NaN or infinite although what enters is finite: nothing can be learnt from them."""
    first = tape.passes[:FIRST]
    broken = next((i for i, p in enumerate(first) if not math.isfinite(p.loss)), None)
    if broken is None or _enters(tape, broken):
        return
    said = f"the loss is NaN or infinite from step {broken + 1} on; the call that makes it so could not be looked for"
    evidence = Evidence("losses that are NaN or infinite", sum(not math.isfinite(x) for x in tape.losses), "0")
    yield Finding(FAULT, said, backward_site(tape), (evidence,), known="observed")


def _enters(tape: Tape, at: int) -> bool:
    entering = (tape.tensors[key] for p in tape.passes[: at + 1] for key in p.outside)
    return any(t.is_floating_point() and bool((~torch.isfinite(t)).any()) for t in entering)


FIRES, QUIET = example.FIRES, example.QUIET
