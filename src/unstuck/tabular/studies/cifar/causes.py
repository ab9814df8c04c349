"""Sections on the runs of the question, why times 255 makes them die, and that there are two causes."""

from __future__ import annotations

import math

from unstuck.report.html.figures import Axis, Cell, Histogram, Table, number
from unstuck.tabular.studies.cifar.evidence import Evidence
from unstuck.tabular.studies.cifar.microscope import KEPT, Watch
from unstuck.tabular.studies.cifar.variants import (
    ASKED,
    BASELINE,
    BOTH,
    EXPLODING,
    FIRST,
    FIRST_SQUARE,
    NAMING,
    PREDICTED,
    RATE,
    SCALED,
    STANDARDISED,
    C,
    Variant,
)
from unstuck.tabular.studies.cifar.wording import (
    LOSS,
    at,
    by_epoch,
    first_losses,
    listed,
    over_steps,
    percent,
    points,
    shown,
)
from unstuck.tabular.studies.story import Section

REPORTED = {BASELINE: 50.0, RATE: 43.0, BOTH: 50.0}
"""Test accuracies reported by the asker, percent."""
NEAR = 3.0
"""Tolerance in points for a reported accuracy: the asker says `about`."""


def asked(e: Evidence) -> Section:
    """The reported results, and ours."""
    found = {v: e.accuracy(v) for v in REPORTED}
    again = [abs(found[v].mean - reported) <= NEAR for v, reported in REPORTED.items()]
    dead = all(c.died is not None for c in e.courses[SCALED])
    measurement = (
        f"After {e.epochs} epochs the network as written has a test accuracy of {points(found[BASELINE])}; on inputs "
        f"times 255 {points(e.accuracy(SCALED))}, "
        f"{'and all its outputs are zero' if dead else 'and its outputs are not zero'}; with the rate divided by 255 "
        f"as well {points(found[RATE])}; with both initial weights and the rate divided by 255 {points(found[BOTH])}. "
        f"The reported 43 % {'is reproduced' if again[1] else 'is not reproduced: the run does worse here'}.\n\nAll "
        "runs with one seed start from the same random weights (torch's default, times the factor in the run's name) "
        "and see the same batches in the same order."
    )
    return Section(
        "What was reported",
        "The network reaches about 50 % in 20 epochs. With the inputs times 255 it does not converge and every output "
        "becomes zero. Rate / 255 gives 43 %; both layers' initial weights / 255 and rate / 255 give 50 % again.",
        measurement,
        "holds" if all(again) and dead else "partly" if dead or any(again) else "does not hold",
        Table(COLUMNS, tuple(_row(e, v) for v in (*ASKED, *PREDICTED)), NOTE),
        (by_epoch(e, (BASELINE, SCALED, RATE, BOTH, FIRST, FIRST_SQUARE, STANDARDISED), "test accuracy by epoch"),),
    )


COLUMNS = ("run", "test %", "test loss", "train loss", "dead %", "logits' sd", "gradient", "all-zero from")
NOTE = (
    f"{NAMING} Dead: hidden units that are active on no training image. All-zero: the step from which on every "
    "logit of every batch is exactly 0; such a run is stopped. Gradient: norm for W1 at steps 0 to 3."
)


def _row(e: Evidence, variant: Variant) -> tuple[Cell, ...]:
    died = [c.died for c in e.courses[variant]]
    return (
        variant.name,
        e.accuracy(variant),
        sum(c.last.loss for c in e.courses[variant]) / len(died),
        e.loss(variant),
        e.dead(variant),
        e.spread(variant),
        listed(e.watches[variant].gradients[:4]),
        ", ".join("-" if d is None else str(d) for d in died) if any(d is not None for d in died) else None,
    )


def kills(e: Evidence) -> Section:
    """Why inputs times 255 end in zero outputs."""
    large, plain, courses = e.watches[SCALED], e.watches[BASELINE], e.courses[SCALED]
    grew = max(large.gradients[:4]) / large.gradients[0]
    dead = all(c.died is not None for c in courses)
    return Section(
        "Inputs times 255 make the network die",
        "The gradients grow within a few iterations, and then every output is zero.",
        "\n\n".join((_start(large, plain), _blow(large), _death(e))),
        "holds" if grew > 2 and dead else "partly" if grew > 2 or dead else "does not hold",
        _steps_table(large),
        (
            first_losses(e, (BASELINE, SCALED), LOSS),
            _histogram(large),
        ),
    )


def _start(large: Watch, plain: Watch) -> str:
    ratio = large.gradients[0] / plain.gradients[0]
    return (
        f"Before the first update the loss is {number(large.losses[0])} ({number(plain.losses[0])} as written): with "
        f"logits {number(C)} times too large the softmax is certain, and wrong. The gradient norm of the first "
        f"layer's weights is {number(large.gradients[0])} instead of {number(plain.gradients[0])}: {number(ratio)} "
        f"times as large, that is 255 (from the inputs) times {number(ratio / C)}. The norm of the error of a single "
        f"image, p - y, only goes from {number(plain.errors[0])} to {number(large.errors[0])}; but the norm of the "
        f"mean error of the batch, in which different errors cancel, from {number(plain.shared[0])} to "
        f"{number(large.shared[0])}."
        + shown(
            large.shared[0] / plain.shared[0] > 2 * large.errors[0] / plain.errors[0],
            " Nearly all images now have the same error, and their gradients add up.",
            "",
        )
    )


def _blow(large: Watch) -> str:
    steps = at(range(len(large.losses)), (0, 1, 2, 3))
    return (
        f"One step changes the standard deviation of the pre-activations from {number(large.spreads[0])} to "
        f"{number(large.spreads[1])}. The losses of the first batches are {listed(large.losses[:8])}; the gradient "
        f"norms at steps {listed(steps)}: {listed(large.gradients[:4])}."
    )


def _death(e: Evidence) -> str:
    large, courses = e.watches[SCALED], e.courses[SCALED]
    died = [c.died for c in courses if c.died is not None]
    first = [c.first_zero for c in courses if c.first_zero is not None]
    told = (
        f"The first batch with only zero logits is at step {listed(first)} (one number per seed), and from step "
        f"{listed(died)} on all batches are: without biases a layer "
        f"of dead units outputs exactly 0, the loss is ln 10 = {math.log(10):.4f}, every gradient is exactly 0, and "
        "nothing is learned any more."
        if died
        else "No run had only zero logits for long enough to count as dead."
    )
    return (
        "All pixels are at least 0. So one large update shifts a unit's pre-activation in the same direction for "
        f"every image: the mean over units and images goes {listed(large.means[:4])}, and the share of units active on "
        "none of "
        f"{PROBED} images {percent(large.dead[:6])} at steps 0 to {min(5, len(large.dead) - 1)}. " + told
    )


PROBED = "the first 1000"


def _steps_table(watch: Watch) -> Table:
    steps = [s for s in (0, 1, 2, 3, 4, 5, 7, 9, 19, 39) if s < len(watch.losses)]
    rows = tuple(
        (
            s,
            watch.losses[s],
            watch.gradients[s],
            watch.means[s],
            watch.spreads[s],
            100 * watch.dead[s],
        )
        for s in steps
    )
    columns = ("step", "loss", "gradient of W1", "mean pre-act.", "sd of pre-act.", "dead %")
    return Table(columns, rows, f"{watch.variant.name}, first seed, before each step; pre-act.: pre-activations.")


def _histogram(watch: Watch) -> Histogram:
    """Pre-activations over many orders of magnitude, on a signed logarithmic scale."""
    edges = tuple(float(i) for i in range(-9, 10))
    groups = []
    for step in KEPT:
        if step in watch.kept:
            signed = [math.copysign(math.log10(1 + abs(v)), v) for v in watch.kept[step].tolist() if math.isfinite(v)]
            counts = [sum(low <= v < low + 1 for v in signed) / max(1, len(signed)) for low in edges[:-1]]
            groups.append((f"step {step}", tuple(counts)))
    axis = Axis("pre-activation: sign times log10(1 + |value|)")
    return Histogram("units below 0 are inactive; after a few steps nearly all are", axis, edges, tuple(groups))


def apart(e: Evidence) -> Section:
    """Centring and scaling, each alone."""
    watches = {v: e.watches[v] for v in (BASELINE, STANDARDISED, SCALED, EXPLODING)}
    both, scale, two = e.watches[SCALED], e.watches[EXPLODING], come_apart(e)
    dead = {v.name: [100 * d for d in w.dead] for v, w in watches.items()}
    return Section(
        "Explosion and zero outputs have one cause",
        "Growing gradients and zero outputs have one cause: the data is not normalised.",
        "\n\n".join((_right_size(e), _too_large(both, scale), shown(two, TWO, "Here they cannot be separated."))),
        "does not hold" if two else "partly",
        Table(
            ("run", "centred", "loss: step 0", "step 1", "step 3", "step 9", "dead at step 9 %", "highest loss"),
            tuple(_quarter(w) for w in watches.values()),
            "First seed, before each step.",
        ),
        (first_losses(e, watches, LOSS), over_steps("dead hidden units", Axis("dead", "%"), dead)),
    )


def come_apart(e: Evidence) -> bool:
    """Whether large inputs explode without dying once they are centred, and die if they are not."""
    both, scale = e.watches[SCALED], e.watches[EXPLODING]
    return _highest(scale) > 1e3 * scale.losses[0] and both.dead[-1] > 0.9 and max(scale.dead) < 0.5


TWO = (
    "So the size of the inputs makes the updates overshoot, which is the explosion. As all inputs are positive, an "
    "overshooting update can turn a unit off for every image at once, which gives the zero outputs. Centring prevents "
    "the zeros but not the explosion; scaling prevents the explosion and leaves a few dead units."
)


def _right_size(e: Evidence) -> str:
    off, centred = e.watches[BASELINE].dead, e.watches[STANDARDISED].dead
    return (
        "Four runs, one for each combination. Not centred, right scale (as written): "
        f"{percent(off[-1:])} of the units dead after {len(off)} steps, {number(e.dead(BASELINE).mean)} % at the end; "
        f"it trains. Centred, right scale (standardised): {percent(centred[-1:])}, and "
        f"{number(e.dead(STANDARDISED).mean)} % at the end."
    )


def _too_large(both: Watch, scale: Watch) -> str:
    end = "." if all(map(math.isfinite, scale.losses)) else ", until it is not finite."
    return (
        f"Not centred, too large (times 255): the loss rises to {number(_highest(both))}, and "
        f"{percent(both.dead[-1:])} of the units are dead; the last loss is {number(both.losses[-1], 5)}. Centred, "
        f"too large (standardised, then times 255): at most {percent([max(scale.dead)])} of the units are "
        f"dead, and the loss goes {listed(scale.losses[:10])}{end}"
    )


def _highest(watch: Watch) -> float:
    return max(v for v in watch.losses if math.isfinite(v))


def _quarter(watch: Watch) -> tuple[Cell, ...]:
    nine = min(9, len(watch.losses) - 1)
    losses = [watch.losses[s] for s in (0, 1, 3, nine)]
    centred = "yes" if watch.variant.preparation == "standardised" else "no"
    return (watch.variant.name, centred, *losses, 100 * watch.dead[nine], _highest(watch))
