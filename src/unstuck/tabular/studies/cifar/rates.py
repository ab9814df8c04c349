"""Sections on the asker's attempts with the rate: why / 255 is not enough, and why / 255^2 works for another reason."""

from __future__ import annotations

from unstuck.report.html.figures import Axis, number
from unstuck.tabular.studies.cifar.causes import PROBED
from unstuck.tabular.studies.cifar.evidence import Evidence
from unstuck.tabular.studies.cifar.variants import BASELINE, BOTH, FIRST_SQUARE, FROZEN, INIT_UP, RATE, SQUARE
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

LATE = (9, 29)
"""Steps at which the dead units are reported."""
SAME = 1.5
"""Points of accuracy within which two runs count as the same after any epoch."""


def divided(e: Evidence) -> Section:
    """Rate / 255 with the default weights."""
    behind = e.accuracy(BASELINE).mean - e.accuracy(RATE).mean
    dead = {v.name: [100 * d for d in e.watches[v].dead] for v in (BASELINE, RATE, BOTH)}
    return Section(
        "Rate / 255 compensates inputs times 255",
        "The inputs are 255 times larger, so a rate 255 times smaller should work (43 % is reported).",
        "\n\n".join((_large_weights(e, behind), _units(e), _patience(e))),
        "does not hold" if behind > 5 else "partly" if behind > SAME else "holds",
        None,
        (
            first_losses(e, (BASELINE, RATE, INIT_UP), LOSS),
            over_steps("dead hidden units", Axis("dead", "%"), dead),
        ),
    )


def _large_weights(e: Evidence, behind: float) -> str:
    run, twin = (e.watches[v].losses[:6] for v in (RATE, INIT_UP))
    return (
        f"With the rate divided by 255 the run ends at {points(e.accuracy(RATE))}, {number(behind)} points behind the "
        "network as written. By the law below, its equivalent on inputs 0..1 is the network and rate as written, with "
        "initial weights 16 (the square root of 255) times too large in both layers: trained in that form, its first "
        f"losses are {listed(twin)}; those of the run itself {listed(run)}: "
    ) + shown(max(run) > 1.5 * run[0], "they rise instead of falling.", "they do not rise.")


def _units(e: Evidence) -> str:
    run, base = (e.watches[v].dead for v in (RATE, BASELINE))
    alive = round(e.plan.protocol.hidden * (1 - e.dead(RATE).mean / 100))
    return (
        f"Effect on the units: {percent(at(run, LATE))} of them are dead on {PROBED} images after "
        f"{listed(at(range(len(run)), LATE))} steps (as written: {percent(at(base, LATE))}), and at the end "
        f"{listed(e.dead(RATE).values)} % are active on no training image (as written "
        f"{listed(e.dead(BASELINE).values)} %). What is left is a network of about {alive} units."
    )


def _patience(e: Evidence) -> str:
    """Whether longer training would help, and whether the rate is the cause."""
    early = max(1, 3 * e.epochs // 4)
    ends = zip(e.accuracy(RATE).values, e.accuracy(RATE, early).values, strict=True)
    gains = [(end - before) / max(1, e.epochs - early) for end, before in ends]
    return (
        f"Between epochs {early} and {e.epochs} it gains {listed(gains, 2)} points of test accuracy per epoch. With "
        f"the same rate and both initial weights divided by 255 too it reaches {points(e.accuracy(BOTH))}"
        + shown(e.accuracy(BOTH).mean > e.accuracy(RATE).mean + 3, ": so the rate is not too small. ", ". ")
        + f"Final training loss: {listed(e.loss(RATE).values)} and {listed(e.loss(BOTH).values)}."
    )


def squared(e: Evidence) -> Section:
    """Rate / 255^2 in both layers."""
    run, frozen = _side_by_side(e)
    gap = max(abs(a - b) for a, b in zip(run, frozen, strict=True))
    return Section(
        "Both layers need rate / 255^2",
        "Rate / 255^2 in both layers works, so it seems that both layers need it, although only the first sees the "
        "larger inputs.",
        "\n\n".join((_random_sums(e), _switched_off(run, frozen, gap), _default_weights(e))),
        "does not hold" if gap < SAME else "partly",
        None,
        (by_epoch(e, (BASELINE, FIRST_SQUARE, FROZEN, SQUARE), "test accuracy by epoch"),),
    )


def _side_by_side(e: Evidence) -> tuple[list[float], list[float]]:
    """Test accuracies of the run and of its control after each epoch that both trained, percent."""
    run, frozen = ([100 * x.accuracy for x in e.courses[v][0].tests] for v in (FIRST_SQUARE, FROZEN))
    return run[: len(frozen)], frozen


def _random_sums(e: Evidence) -> str:
    below = e.accuracy(BASELINE).mean - e.accuracy(FIRST_SQUARE).mean
    return (
        f"With the first weights divided by 255 it reaches {points(e.accuracy(FIRST_SQUARE))}, {number(below)} points "
        "below the network as written. For the first layer this rate is exactly right: see the law below. The second "
        "layer's inputs were never scaled; at a rate divided by 65025 it hardly moves, and the first layer learns to "
        "serve ten random sums of its units."
    )


def _switched_off(run: list[float], frozen: list[float], gap: float) -> str:
    return (
        "The control is the network as written, on inputs 0..1, with the second rate 0. Its test accuracy after each "
        f"epoch: {listed(frozen)} %; that of this run: {listed(run)} %. They differ by at most {number(gap, 2)} points"
    ) + shown(gap < SAME, ": the smaller rate of the second layer amounts to freezing it.", ".")


def _default_weights(e: Evidence) -> str:
    return (
        f"Without dividing the first weights, rate / 255^2 ends at {points(e.accuracy(SQUARE))}, with training loss "
        f"{listed(e.loss(SQUARE).values)}: the first layer learns at the right rate, but from weights 255 times too "
        "large, and the second layer, which could correct the certain but wrong outputs, hardly moves."
    )
