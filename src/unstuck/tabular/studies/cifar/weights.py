"""Sections on the asker's attempts with the initial weights: why both layers' work, and only the first layer's do
not."""

from __future__ import annotations

import math

from unstuck.report.html.figures import Axis, Lines, Series, Table, number
from unstuck.tabular.studies.cifar.causes import PROBED
from unstuck.tabular.studies.cifar.evidence import Evidence
from unstuck.tabular.studies.cifar.variants import (
    BASELINE,
    BOTH,
    FIRST,
    FIRST_RATE,
    FIRST_RATE_UP,
    FIRST_WEIGHTS,
    INIT_DOWN,
    RATE_ONLY,
    Variant,
)
from unstuck.tabular.studies.cifar.wording import LOSS, STEP, at, first_losses, listed, percent, points, shown, smoothed
from unstuck.tabular.studies.story import Section

FLAT = math.log(10)
"""The loss of a uniform prediction."""
MARKS = (0, 9, 19, 29, 39)
"""Steps whose losses are reported."""
SINGLES = (FIRST_WEIGHTS, FIRST_RATE, FIRST, RATE_ONLY)
"""The attempts with the first layer alone."""


def both(e: Evidence) -> Section:
    """Both weights and the rate / 255."""
    restored = abs(e.accuracy(BOTH).mean - e.accuracy(BASELINE).mean) < 2
    return Section(
        "Both weights / 255 and rate / 255 restore everything",
        "Dividing both layers' initial weights by 255, and the rate by 255, restores 50 %.",
        "\n\n".join((_both_end(e, restored), _small_weights(e, restored), _flat(e))),
        "holds" if restored else "does not hold",
        None,
        (_early(e),),
    )


def _both_end(e: Evidence, restored: bool) -> str:
    return (
        f"It ends at {points(e.accuracy(BOTH))} (as written: {points(e.accuracy(BASELINE))}), with training loss "
        f"{listed(e.loss(BOTH).values)} ({listed(e.loss(BASELINE).values)}) and a standard deviation of the logits of "
        f"{listed(e.spread(BOTH).values)} ({listed(e.spread(BASELINE).values)}): "
        + ("practically the same network." if restored else "not the same.")
    )


def _small_weights(e: Evidence, restored: bool) -> str:
    run, twin, base = (e.watches[v].losses for v in (BOTH, INIT_DOWN, BASELINE))
    return (
        "The asker changed not the rate, which 'should' be wrong, but the initial weights. By the law, the "
        "equivalent on inputs 0..1 is the network and rate as written, with both initial weights 16 times smaller: "
        f"trained in that form its losses at steps {listed(at(range(len(run)), MARKS))} are "
        f"{listed(at(twin, MARKS), 4)}; those of the run itself {listed(at(run, MARKS), 4)} (as written: "
        f"{listed(at(base, MARKS), 4)}). "
    ) + shown(
        restored,
        f"Weights that are too small keep the loss near ln 10 = {FLAT:.4f} for a while and do no further harm; "
        "weights that are too large kill units, as in the section before.",
        "Here it does not end where the network as written does.",
    )


def _flat(e: Evidence) -> str:
    return shown(
        e.loss(BOTH).mean < FLAT - 0.3,
        "The losses above exclude that accuracy recovers while the loss stays at ln 10.",
        f"The loss has stayed near ln 10 for these {e.epochs} epochs.",
    )


def _early(e: Evidence) -> Lines:
    curves = {v: smoothed(e.courses[v][0].losses, 10, 400) for v in (BASELINE, BOTH)}
    series = tuple(Series(v.name, c.x, c.y, dashed=v is BASELINE) for v, c in curves.items())
    return Lines("loss, means of ten batches", STEP, Axis("training loss"), series)


def first(e: Evidence) -> Section:
    """The first layer's weights / 255, with one or both rates divided."""
    trouble = max(e.accuracy(v).mean for v in SINGLES) < e.accuracy(BASELINE).mean - 5
    rows = tuple(
        (v.name, e.accuracy(v), e.loss(v), e.dead(v), listed(e.watches[v].gradients[:4])) for v in (BASELINE, *SINGLES)
    )
    return Section(
        "The first layer's weights / 255 are enough",
        "Only the first layer sees the inputs, so dividing its initial weights by 255 should work, with one rate or "
        "another divided by 255.",
        "\n\n".join((_backward(e), _control(e), _others(e))),
        "does not hold" if trouble else "holds",
        Table(("run", "test acc. %", "train loss", "dead %", "gradient of W1, steps 0 to 3"), rows),
        (first_losses(e, (BASELINE, FIRST_RATE, FIRST_RATE_UP, FIRST), LOSS),),
    )


def _backward(e: Evidence) -> str:
    run, base = e.watches[FIRST_RATE], e.watches[BASELINE]
    steps = [s for s in (0, 1, 3, 19) if s < len(run.dead)]
    return (
        "Take the first weights and the first rate divided by 255. This fixes the forward pass: the first loss is "
        f"{number(run.losses[0], 5)} (as written {number(base.losses[0], 5)}). It does not fix the backward pass. The "
        f"gradient norm of the first weights is {number(run.gradients[0])}, "
        f"{number(run.gradients[0] / base.gradients[0])} times that of the network as written, and it acts on weights "
        "that are 255 times smaller: the relative step is 255^2 times too long, and a rate divided by 255 leaves "
        "a factor of 255. The first step takes the standard deviation of the pre-activations from "
        f"{number(run.spreads[0])} to {number(run.spreads[1])}; dead on {PROBED} images at steps {listed(steps)}: "
        f"{percent(at(run.dead, steps))}."
    )


def _control(e: Evidence) -> str:
    run, twin = (e.watches[v].losses for v in (FIRST_RATE, FIRST_RATE_UP))
    return (
        "The control is the network as written, on inputs 0..1, with the first layer's rate times 255: losses "
        f"{listed(twin[:5], 5)}; this run's: {listed(run[:5], 5)}. It ends at {_end(e, FIRST_RATE)}."
    )


def _others(e: Evidence) -> str:
    zero = (e.courses[RATE_ONLY][0].final or e.courses[RATE_ONLY][0].last).zero
    return (
        f"Only the first weights divided, with the rate as written, ends at {_end(e, FIRST_WEIGHTS)}; with both rates "
        f"divided by 255 at {_end(e, FIRST)}; only the first rate divided, with the original weights, at "
        f"{_end(e, RATE_ONLY)}, with all-zero logits on {number(100 * zero)} % of the training images."
    )


def _end(e: Evidence, variant: Variant) -> str:
    """Accuracy, and the step from which on all logits are zero."""
    course = e.courses[variant][0]
    dying = "" if course.died is None else f" (all logits 0 from step {course.died} on)"
    return points(e.accuracy(variant)) + dying
