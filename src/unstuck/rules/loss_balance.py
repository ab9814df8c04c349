"""One term of a summed loss drowns the other.

## Why it hurts
The gradient of a sum is the sum of the gradients: the larger one decides where every shared weight goes. A divergence
that is summed over the batch and the code, beside an error that is averaged over pixels, is thousands of times as
heavy: it falls to zero within an epoch, the code says nothing of the input any more, and every reconstruction is the
same mean picture. A penalty, or one task of several, may drown the others in the same way.

## How it is seen
The recorded loss is taken apart into its terms, and each is differentiated for itself over the first steps: on the
weights that they share, the term with the targets gives less than a tenth of the gradient of another, and the run does
not learn its targets. A replay with the other term weighed down shows whether it then does.

## What to do
Reduce all terms alike: both as sums, or both as means over the same numbers (a divergence is summed over the code,
averaged over the batch, and divided by the number of pixels where the error is their mean). Else give the heavy term a
weight, or raise it slowly from 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.diagnosis.stages import Stage
from unstuck.micro import terms as example
from unstuck.micro.terms import Term, Terms
from unstuck.remedies.weigh_term import WeighTerm

STAGE = Stage.OUTPUT
NEEDS_ROOM = True
FAULT = "loss-balance"
TIMES = 10.0
"""Times the gradient of the term with the targets: then a step goes where the other term wants it, within 6 degrees."""
LOUDER = 2.0
"""Times from which on it is worth an experiment: which share of a step is too much is seen by its effect alone."""
SHARE = 0.1
"""Of the other's gradient, where they are brought to one: enough for a penalty to be felt."""


def check(terms: Terms) -> Iterator[Finding]:
    """Each term whose gradient is many times that of the term with the targets; and, as a question that only an
    experiment can answer, each that is the larger one."""
    asked = next((t for t in terms.terms if t.asked), None)
    if asked is None or len([t for t in terms.terms if t.asked]) > 1:
        return
    for other in terms.terms:
        if other is not asked and other.share > LOUDER * asked.share:
            origin = "tape" if other.share > TIMES * asked.share else "battery"
            yield msgspec.structs.replace(_finding(terms, asked, other), origin=origin)


def _finding(terms: Terms, asked: Term, other: Term) -> Finding:
    times = other.share / max(asked.share, 1e-12)
    said = f"{other.name} drowns {asked.name} in the loss: its gradient is {times:.3g} times as large"
    evidence = (
        Evidence(f"share of the gradient of {asked.name}", asked.share, f"above {1 / (1 + TIMES):.2g}"),
        Evidence(f"{other.name} in the first step", other.size, "of the size of the other term"),
        Evidence(f"{asked.name} in the first step", asked.size, "of the size of the other term"),
    )
    site = other.joint.site
    remedies = tuple(WeighTerm(site, other.operand, f) for f in _factors(terms, asked, other, times)) if site else ()
    return Finding(FAULT, f"{said} on the weights that they share", site, evidence, remedies)


def _factors(terms: Terms, asked: Term, other: Term, times: float) -> Iterator[float]:
    """The mean over as many numbers as the error is a mean of; then gradients of the wanted proportion."""
    if other.summed and not asked.summed and terms.numel > 1:
        yield float(f"{1 / terms.numel:.3g}")
    yield float(f"{SHARE / times:.3g}")


FIRES, QUIET = example.FIRES, example.QUIET
