"""Sections on the second answer: why the loss falls ever more slowly, and the effect of a decaying or larger rate."""

from __future__ import annotations

import math

import torch

from unstuck.report.html.figures import Axis, Lines, Series, Table, each, number
from unstuck.tabular.studies.heart_rate import variants as v
from unstuck.tabular.studies.heart_rate.run import Run
from unstuck.tabular.studies.heart_rate.words import EPOCHS, got
from unstuck.tabular.studies.story import Section, judged, share

DRAWN = 1.0
"""Weights and biases of a layer with one input are drawn from [-1, 1]."""


def travel(run: Run) -> Section:
    """The distance that the thresholds have to travel."""
    ends, starts = run.thresholds(v.RAW), run.look(v.RAW).thresholds
    bound = DRAWN + v.RAW.pace.travel(run.limit)
    useful = float(((ends > 80) & (ends < 105)).float().mean())
    at_first = float(((starts > 80) & (starts < 105)).float().mean())
    text = (
        "A hidden unit is useful if its threshold -b/w is within the data. At the start "
        f"{share(at_first, digits=2)} of them are between 80 and 105; to get there, a unit's bias must travel to "
        f"about -91 w. Adam moves a weight by at most about its rate per step, so after {run.limit} epochs at rate "
        f"{v.RAW.pace.rate:g} no bias can be far beyond {DRAWN:g} + {number(v.RAW.pace.travel(run.limit))} = "
        f"{number(bound)}. Measured: at most {number(run.reach(v.RAW).high)} (standardised: "
        f"{number(run.reach(v.STANDARD).high)}). At the end {share(useful, digits=2)} of the raw network's "
        f"thresholds are between 80 and 105, and {share(run.saturated(v.RAW), digits=2)} of its pre-activations are "
        "still saturated: the few units that arrived carry the output.\n\nSo the loss does keep falling, ever more "
        f"slowly, while the biases travel: raw input reaches 99 % {got(run.epochs(v.RAW))}; standardised, with a "
        f"short distance, {got(run.epochs(v.STANDARD))}."
    )
    walked = run.reach(v.RAW).high > 3 * run.reach(v.STANDARD).high
    figures = (_reach(run), Lines("Loss, mean over the seeds", EPOCHS, Axis("loss"), _losses(run)), _decisions(run))
    return Section(
        "Why the loss falls ever more slowly",
        "Second answer: the loss does keep falling, only ever more slowly.",
        text,
        judged(walked and run.reach(v.RAW).high <= bound * 1.1),
        figures=figures,
    )


def _losses(run: Run) -> tuple[Series, ...]:
    return run.curve(v.RAW, "loss", "raw, 0.001"), run.curve(v.STANDARD, "loss", "standardised, 0.001")


def _reach(run: Run) -> Lines:
    curves = [
        run.curve(x, "reach", n)
        for n, x in (("raw", v.RAW), ("raw, halved every 1000", v.STEPPED), ("standardised", v.STANDARD))
    ]
    for variant, name in ((v.RAW, "bound, constant rate"), (v.STEPPED, "bound, halved every 1000")):
        epochs = curves[0].x
        curves.append(Series(name, epochs, tuple(DRAWN + variant.pace.travel(round(e)) for e in epochs), dashed=True))
    return Lines("The largest bias of the first layer, rate 0.001", EPOCHS, Axis("max |b|", log=True), tuple(curves))


def _decisions(run: Run) -> Lines:
    points = tuple(float(x) for x in torch.arange(60, 125).tolist())
    chosen = {"raw": v.RAW, "raw, halved every 1000": v.STEPPED, "standardised": v.STANDARD}
    worst = min(range(run.seeds), key=lambda s: run.courses(v.STEPPED)[s].accuracy[-1])
    lines = tuple(run.answers(x, points, worst, n) for n, x in chosen.items())
    return Lines(
        f"The network's output at the end, rate 0.001, seed {worst}",
        Axis("heart rate", "1/min"),
        Axis("output"),
        lines,
    )


def decaying(run: Run) -> Section:
    """StepLR(1000, 0.5)."""
    pairs = (
        (v.RAW, v.STEPPED),
        (v.RAW10, v.STEPPED10),
        (v.RAW100, v.STEPPED100),
        (v.STANDARD, v.STANDARD_STEPPED),
        (v.STANDARD10, v.STANDARD_STEPPED10),
        (v.NORM10, v.NORM_STEPPED10),
    )
    whole, cap = v.STEPPED.pace.travel(run.limit), v.STEPPED.pace.rate * 1000 / (1 - v.STEPPED.pace.factor)
    steady, stepped = run.accuracy(v.RAW), run.accuracy(v.STEPPED)
    text = (
        f"With rate 0.001 halved every 1000 epochs the accuracy after {run.limit} epochs is {number(stepped.mean)} %; "
        f"with a constant rate {number(steady.mean)} %. It reaches 99 % {got(run.epochs(v.STEPPED))}; with the "
        f"constant rate {got(run.epochs(v.RAW))}. The reason is the sum of the rates: {number(whole)} so far and "
        f"{number(cap)} in the limit, which bounds how far any bias can move. Measured, the largest bias ends at "
        f"{number(run.reach(v.STEPPED).high)} (about {number(DRAWN)} + {number(whole)}), with the constant rate at "
        f"{number(run.reach(v.RAW).high)}.\n\nIf 99 % is reached before the first halving, the decay makes no "
        f"difference: at rate 0.01 raw input gets there {got(run.epochs(v.STEPPED10))}, with a constant rate "
        f"{got(run.epochs(v.RAW10))}; standardised {got(run.epochs(v.STANDARD_STEPPED10))} and "
        f"{got(run.epochs(v.STANDARD10))}. The decay also freezes the loss: standardised at rate 0.001 it ends at "
        f"{number(run.loss(v.STANDARD_STEPPED).low)} to {number(run.loss(v.STANDARD_STEPPED).high)}, with a constant "
        f"rate at most at {run.loss(v.STANDARD).high:.3f}. Rate 0.1 gets there {got(run.epochs(v.STEPPED100))} with "
        f"decay and {got(run.epochs(v.RAW100))} without.{_rounding(run)}"
    )
    better = stepped.mean > steady.mean + 1 or run.epochs(v.STEPPED).median < run.epochs(v.RAW).median
    curves = tuple(run.curve(x, "accuracy", n) for n, x in (("constant", v.RAW), ("halved every 1000", v.STEPPED)))
    rows = tuple((a.name, each(run.epochs(a).values), each(run.epochs(b).values), run.accuracy(b)) for a, b in pairs)
    return Section(
        "A rate that steps down",
        "Second answer: use a learning rate that steps down with the epochs.",
        text,
        judged(better),
        Table(
            ("variant", "constant: first at 99 %", "halved every 1000: first at 99 %", "final accuracy %"),
            rows,
            "Per seed",
        ),
        (Lines("Accuracy on raw heart rates, rate 0.001, mean over seeds", EPOCHS, Axis("accuracy", "%"), curves),),
    )


def _rounding(run: Run) -> str:
    """Runs that are identical until epoch 1000 but reach 99 % at different epochs before it."""
    pairs = zip(run.epochs(v.RAW10).values, run.epochs(v.STEPPED10).values, strict=True)
    apart = [(a, b) for a, b in pairs if a != b and max(a, b) <= 1000]
    if not apart:
        return ""
    words = ", ".join(f"{number(a)} and {number(b)}" for a, b in apart)
    return (
        "\n\nUntil epoch 1000 the two are the same program. Where a seed reaches 99 % at different epochs before "
        f"that ({words}, raw at rate 0.01), rounding errors have grown: training on raw inputs amplifies even the "
        "last digit."
    )


def larger(run: Run) -> Section:
    """Raising the rate without standardising."""
    text = (
        f"On raw heart rates, rate 0.01 reaches 99 % {got(run.epochs(v.RAW10))}, rate 0.001 {got(run.epochs(v.RAW))}: "
        f"the distance is the same, the steps are longer. Rate 0.1 reaches it {got(run.epochs(v.RAW100))}; it ends at "
        f"{number(run.accuracy(v.RAW100).mean)} % accuracy (the share of the larger class), with "
        f"{share(run.saturated(v.RAW100), digits=2)} of the pre-activations saturated: one step of 0.1 in w changes w "
        f"x by 9. On circles around 92, rate 0.01 reaches 99 % {got(run.epochs(v.FAR_CIRCLES10))}, on moons "
        f"around 92 {got(run.epochs(v.FAR_MOONS10))}."
    )
    helped = run.epochs(v.RAW10).median < run.epochs(v.RAW).median
    everywhere = all(math.isfinite(run.epochs(x).median) for x in (v.RAW10, v.RAW100, v.FAR_CIRCLES10, v.FAR_MOONS10))
    curves = tuple(run.curve(x, "accuracy", f"rate {x.pace.rate:g}") for x in (v.RAW, v.RAW10, v.RAW100))
    return Section(
        "A larger rate alone",
        "Implied by both answers: the learning rate is the problem, and a better one works without changing the data.",
        text,
        judged(helped and everywhere, helped),
        figures=(Lines("Accuracy on raw heart rates, mean over the seeds", EPOCHS, Axis("accuracy", "%"), curves),),
    )
