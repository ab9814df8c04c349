"""The asker's attempts one by one: why each rate and each initial weight did what it did."""

from __future__ import annotations

import math

from unstuck.studies.cifar.evidence import Evidence
from unstuck.studies.cifar.illnesses import PROBED
from unstuck.studies.cifar.microscope import Watch
from unstuck.studies.cifar.variants import (
    BASELINE,
    BOTH,
    FIRST,
    FIRST_RATE,
    FIRST_RATE_UP,
    FIRST_SQUARE,
    FIRST_WEIGHTS,
    FROZEN,
    INIT_DOWN,
    INIT_UP,
    RATE,
    RATE_ONLY,
    SQUARE,
    Variant,
)
from unstuck.studies.cifar.wording import LOSS, STEP, at, listed, over_steps, percent, points, shown, smoothed
from unstuck.studies.story import Axis, Lines, Section, Series, Table, number

LATE = (9, 29)
"""Steps at which the dead units are told."""


def rate_alone(e: Evidence) -> Section:
    """Rate / 255 with the default weights."""
    sick, twin, base = e.watches[RATE], e.watches[INIT_UP], e.accuracy(BASELINE)
    behind = base.mean - e.accuracy(RATE).mean
    measurement = (
        f"With the rate divided by 255 the run ends at {points(e.accuracy(RATE))}, {number(behind)} points behind the "
        "network as written. Told on inputs 0..1 (see the law below) it is the network as "
        "written, with the rate as written, whose initial weights are 16 (the root of 255) times too large in both "
        f"layers: trained as such, on inputs 0..1, its first losses are {listed(twin.losses[:6])}; those of the run "
        f"itself {listed(sick.losses[:6])}: {_climb(sick)}\n\n"
        "What it does to the units: "
        f"{percent(at(sick.dead, LATE))} of them are dead on {PROBED} pictures after "
        f"{listed(at(range(len(sick.dead)), LATE))} steps (as written: {percent(at(e.watches[BASELINE].dead, LATE))}), "
        f"and at the end {listed(e.dead(RATE).values)} % fire on no training picture (as written "
        f"{listed(e.dead(BASELINE).values)} %). What is left is a network of some {_alive(e)} units.\n\n{_late(e)}"
    )
    return Section(
        "Why rate / 255 is not enough",
        "If the inputs are 255 times larger, the rate should be 255 times smaller; but it gives only 43 %.",
        measurement,
        "does not hold" if behind > 5 else "partly" if behind > 1.5 else "holds",
        None,
        (
            over_steps("loss of each batch", LOSS, _losses(e, BASELINE, RATE, INIT_UP)),
            over_steps("dead hidden units", Axis("dead", "%"), _dead(e, BASELINE, RATE, BOTH)),
        ),
    )


def _climb(watch: Watch) -> str:
    early = watch.losses[:6]
    return shown(max(early) > 1.5 * early[0], "they climb instead of descending.", "they do not climb.")


def _late(e: Evidence) -> str:
    """Whether longer training would help, and whether the rate is to blame."""
    from_, to = (max(1, 3 * e.epochs // 4), e.epochs)
    gains = [(a - b) / max(1, to - from_) for a, b in zip(e.accuracy(RATE).values, _upto(e, from_), strict=True)]
    return (
        f"Between epochs {from_} and {to} it gains {listed(gains, 2)} points of test accuracy per epoch. With the same "
        f"rate and both initial weights divided by 255 too it reaches {points(e.accuracy(BOTH))}"
        + shown(e.accuracy(BOTH).mean > e.accuracy(RATE).mean + 3, ": so the rate is not too small. ", ". ")
        + f"Training loss at the end: {listed(e.loss(RATE).values)} here, "
        f"{listed(e.loss(BOTH).values)} there."
    )


def _upto(e: Evidence, epoch: int) -> tuple[float, ...]:
    return e.accuracy(RATE, epoch).values


def _alive(e: Evidence) -> str:
    return number(round(e.plan.protocol.hidden * (1 - e.dead(RATE).mean / 100)))


def both_weights(e: Evidence) -> Section:
    """Both weights and the rate / 255."""
    found, base = e.accuracy(BOTH), e.accuracy(BASELINE)
    watch, twin = e.watches[BOTH], e.watches[INIT_DOWN]
    restored = abs(found.mean - base.mean) < 2
    flat = math.log(10)
    refuted = e.loss(BOTH).mean < flat - 0.3
    measurement = (
        f"It ends at {points(found)} (as written: {points(base)}), with training loss {listed(e.loss(BOTH).values)} "
        f"({listed(e.loss(BASELINE).values)}) and logits of spread {listed(e.spread(BOTH).values)} "
        f"({listed(e.spread(BASELINE).values)}): {'the same network for all purposes' if restored else 'not the same'}"
        ".\n\n"
        "What the asker changed was not the rate, which 'should' be wrong, but the initial weights. Told on inputs "
        "0..1 this run is the network as written, rate as written, with both initial weights 16 times smaller: trained "
        f"as such its losses at steps {listed(_marks(watch))} are {listed(at(twin.losses, MARKS), 4)}; those of the "
        f"run itself {listed(at(watch.losses, MARKS), 4)} (as written: "
        f"{listed(at(e.watches[BASELINE].losses, MARKS), 4)}). "
        + shown(
            restored,
            f"Weights that small cost a while near ln 10 = {flat:.4f} and then nothing; weights that large cost the "
            "units of the section before.",
            "Here it does not end where the network as written does.",
        )
        + "\n\n"
        + (
            "That accuracy might recover while the loss stays at ln 10 is refuted by the losses above."
            if refuted
            else f"The loss has stayed near ln 10 for these {e.epochs} epochs."
        )
    )
    early = [smoothed(e.courses[v][0].losses, 10, 400) for v in (BASELINE, BOTH)]
    named = [
        Series(v.name, curve.x, curve.y, dashed=v is BASELINE) for v, curve in zip((BASELINE, BOTH), early, strict=True)
    ]
    return Section(
        "Why both weights / 255 restore everything, with a rate that should be wrong",
        "Dividing both layers' initial weights by 255, and the rate by 255, restores 50 %; why both layers, and why "
        "does a rate divided by 255 only do?",
        measurement,
        "holds" if restored else "does not hold",
        None,
        (Lines("loss, means of ten batches", STEP, Axis("training loss"), tuple(named)),),
    )


MARKS = (0, 9, 19, 29, 39)


def _marks(watch: Watch) -> list[int]:
    return at(range(len(watch.losses)), MARKS)  # type: ignore[return-value]


def first_alone(e: Evidence) -> Section:
    """The first layer's weights / 255, with one rate or two divided."""
    watch, twin, base = e.watches[FIRST_RATE], e.watches[FIRST_RATE_UP], e.watches[BASELINE]
    worst = max(e.accuracy(v).mean for v in (FIRST_WEIGHTS, FIRST, FIRST_RATE, RATE_ONLY))
    trouble = worst < e.accuracy(BASELINE).mean - 5
    measurement = (
        f"Dividing the first weights by 255 does repair the forward pass: the first loss is "
        f"{number(watch.losses[0], 5)} (as written {number(base.losses[0], 5)}). The backward pass it does not. The "
        f"gradient of the first weights is {number(watch.gradients[0])} long, "
        f"{number(watch.gradients[0] / base.gradients[0])} times that of the network as written, and it moves weights "
        "that are 255 times smaller: in proportion the step is 255^2 times too long, and a rate divided by 255 leaves "
        f"a factor of 255. The first step takes the spread of what the hidden units receive from "
        f"{number(watch.spreads[0])} to {number(watch.spreads[1])}; dead on {PROBED} pictures at steps 0, 1, 3"
        f"{', 19' * (len(watch.dead) > 19)}: {percent(at(watch.dead, (0, 1, 3, 19)))}.\n\n"
        f"The control is the network as written, on inputs 0..1, with the first layer's rate times 255: losses "
        f"{listed(twin.losses[:5], 5)}; this run's: {listed(watch.losses[:5], 5)}. It ends at "
        f"{points(e.accuracy(FIRST_RATE))}{_dying(e, FIRST_RATE)}. With the rate as written it ends at "
        f"{points(e.accuracy(FIRST_WEIGHTS))}{_dying(e, FIRST_WEIGHTS)}; with the second rate divided by 255 as well: "
        f"{points(e.accuracy(FIRST))}, {listed(e.dead(FIRST).values)} % of the units dead; with the weights left alone "
        f"and only the first rate divided: {points(e.accuracy(RATE_ONLY))}, with all-zero logits on "
        f"{number(100 * (e.courses[RATE_ONLY][0].final or e.courses[RATE_ONLY][0].last).zero)} % of the pictures."
    )
    return Section(
        "Why the first layer's weights alone are not enough",
        "Only the first layer sees the inputs, so dividing its initial weights by 255 should do; it does not, whatever "
        "rate is divided by 255.",
        measurement,
        "holds" if trouble else "does not hold",
        Table(
            ("run", "test acc. %", "train loss", "dead %", "gradient of W1, steps 0 to 3"),
            tuple(
                (v.name, e.accuracy(v), e.loss(v), e.dead(v), listed(e.watches[v].gradients[:4]))
                for v in (BASELINE, FIRST_WEIGHTS, FIRST_RATE, FIRST, RATE_ONLY)
            ),
        ),
        (over_steps("loss of each batch", LOSS, _losses(e, BASELINE, FIRST_RATE, FIRST_RATE_UP, FIRST)),),
    )


def _dying(e: Evidence, variant: Variant) -> str:
    course = e.courses[variant][0]
    if course.died is None:
        return ""
    return f", all logits 0 from step {course.died} on (for the first time at step {course.first_zero})"


def square(e: Evidence) -> Section:
    """Rate / 255^2 in both layers."""
    frozen, run = ([100 * x.accuracy for x in e.courses[v][0].tests] for v in (FROZEN, FIRST_SQUARE))
    run = run[: len(frozen)]
    gap = max(abs(a - b) for a, b in zip(frozen, run, strict=True))
    found, base, default = e.accuracy(FIRST_SQUARE), e.accuracy(BASELINE), e.accuracy(SQUARE)
    same = gap < 1.5
    measurement = (
        f"With the first weights divided by 255 it reaches {points(found)}, {number(base.mean - found.mean)} points "
        "below the network as written. For the first layer this rate is exactly right: see the law below. The second "
        "layer's inputs were never scaled; at a rate divided by 65025 it hardly moves, and the first learns to serve "
        "ten random sums of its units.\n\n"
        "The control is the network as written, on inputs 0..1, with the second rate 0. Its test accuracy after each "
        f"epoch: {listed(frozen)} %; that of this run: {listed(run)} %. They differ by at most {number(gap, 2)} points"
        f"{': the second layer never needed a smaller rate, it was switched off' if same else ''}.\n\n"
        f"Without dividing the first weights, rate / 255^2 ends at {points(default)}, with training loss "
        f"{listed(e.loss(SQUARE).values)}: the first layer learns at the right pace, but from weights 255 times too "
        "large, and the second, which could take back the sure and wrong answers, hardly moves."
    )
    return Section(
        "Why 255^2 works, for another reason than suspected",
        "Rate / 255^2 in both layers works, so it seems that both layers need it, though only the first sees the "
        "larger inputs.",
        measurement,
        "does not hold" if same else "partly",
        None,
        (
            Lines(
                "test accuracy by epoch",
                Axis("epoch"),
                Axis("test accuracy", "%"),
                tuple(
                    Series(v.name, tuple(float(i + 1) for i in range(len(e.courses[v][0].tests))), _tests(e, v))
                    for v in (BASELINE, FIRST_SQUARE, FROZEN, SQUARE)
                ),
            ),
        ),
    )


def _tests(e: Evidence, variant: Variant) -> tuple[float, ...]:
    return tuple(100 * exam.accuracy for exam in e.courses[variant][0].tests)


def _losses(e: Evidence, *variants: Variant) -> dict[str, list[float]]:
    return {v.name: e.watches[v].losses for v in variants}


def _dead(e: Evidence, *variants: Variant) -> dict[str, list[float]]:
    return {v.name: [100 * d for d in e.watches[v].dead] for v in variants}
