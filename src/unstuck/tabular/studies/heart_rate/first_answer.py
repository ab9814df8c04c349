"""Sections on the question and the first answer: standardise, raise the rate, BatchNorm, the loss on logits."""

from __future__ import annotations

from unstuck.report.html.figures import Axis, Bars, Cell, Lines, Table, each, number
from unstuck.tabular.studies.heart_rate import variants as v
from unstuck.tabular.studies.heart_rate.courses import fed
from unstuck.tabular.studies.heart_rate.eval_mode import Evaluated
from unstuck.tabular.studies.heart_rate.run import Run
from unstuck.tabular.studies.heart_rate.variants import Variant
from unstuck.tabular.studies.heart_rate.words import EPOCHS, got, times
from unstuck.tabular.studies.saturation import edges
from unstuck.tabular.studies.story import Section, judged, share


def question(run: Run) -> Section:
    """The simpler data set is harder to learn."""
    early = min(1000, run.limit)
    rows = (v.CIRCLES, v.MOONS, v.RAW, v.CIRCLES10, v.MOONS10, v.RAW10, v.FAR_CIRCLES, v.FAR_CIRCLES10, v.FAR_MOONS10)
    near, raw = run.epochs(v.CIRCLES10), run.epochs(v.RAW10)
    far = [run.epochs(x) for x in (v.FAR_CIRCLES, v.FAR_CIRCLES10, v.FAR_MOONS10)]
    text = (
        f"At rate 0.01 it reaches 99 % on circles around zero {got(near)}, on heart rates {got(raw)}. After {early} "
        f"epochs at rate 0.001 the accuracy on heart rates is {number(run.accuracy(v.RAW, early).mean)} %; the "
        f"baseline (always the larger class) is {number(_majority(run))} %; trained for up to {run.limit} epochs it "
        f"reaches 99 % {got(run.epochs(v.RAW))}.\n\nAdding 92 to both coordinates of the harder sets, and changing "
        "nothing else, tests the offset directly: circles and moons around 92 are learned in "
        f"{sum(f.reached for f in far)} of {sum(len(f.values) for f in far)} runs, the same sets around zero in "
        f"{sum(run.epochs(x).reached for x in (v.CIRCLES, v.CIRCLES10, v.MOONS10))} of {3 * run.seeds}."
    )
    slower = raw.median > near.median and run.accuracy(v.RAW, early).mean < run.accuracy(v.STANDARD, early).mean
    curves = tuple(
        run.curve(x, "accuracy", f"{x.group}, {x.pace.rate:g}") for x in (v.CIRCLES10, v.FAR_CIRCLES10, v.RAW, v.RAW10)
    )
    return Section(
        "The simpler data set is harder to learn",
        "The question: a two-layer sigmoid network learns circles and half-moons around zero; on a simpler data set, "
        "one heart rate and one threshold, it does badly.",
        text,
        judged(slower, run.accuracy(v.RAW, early).mean < 90),
        Table(
            (
                "data",
                "rate",
                "reach 99 %",
                "median epochs",
                f"accuracy % after {early}",
                "at the end",
                "saturated at first",
            ),
            tuple(_row(run, x, early) for x in rows),
        ),
        (Lines("Accuracy, mean over the seeds", EPOCHS, Axis("accuracy", "%"), curves),),
    )


def _row(run: Run, x: Variant, early: int) -> tuple[Cell, ...]:
    beyond = share(run.look(x).saturated, digits=2)
    reached = f"{run.epochs(x).reached} of {run.seeds}"
    return x.group, x.pace.rate, reached, run.epochs(x).median, run.accuracy(x, early), run.accuracy(x), beyond


def _majority(run: Run) -> float:
    ones = [float((rows.y * rows.shares).sum()) for rows in (fed(v.RAW, seed) for seed in range(run.seeds))]
    return 100 * sum(max(p, 1 - p) for p in ones) / len(ones)


def standardise(run: Run) -> Section:
    """Subtract the mean, divide by the standard deviation, rate 0.01."""
    fast, slow, raw, raw10 = (run.epochs(x) for x in (v.STANDARD10, v.STANDARD, v.RAW, v.RAW10))
    text = (
        f"Standardised, at rate 0.01, it reaches 99 % {got(fast)} (per seed {each(fast.values)}); at the old rate "
        f"0.001 {got(slow)} ({each(slow.values)}). Raw input reaches it {got(raw)}, at rate 0.01 {got(raw10)}. "
        f"In the median, raw input takes {times(raw.median, slow.median)} as many epochs at rate 0.001 and "
        f"{times(raw10.median, fast.median)} as many at rate 0.01."
    )
    chosen = {
        "raw, 0.001": v.RAW,
        "raw, 0.01": v.RAW10,
        "standardised, 0.001": v.STANDARD,
        "standardised, 0.01": v.STANDARD10,
    }
    figure = Lines(
        "Loss, mean over the seeds",
        EPOCHS,
        Axis("loss", log=True),
        tuple(run.curve(x, "loss", n) for n, x in chosen.items()),
    )
    return Section(
        "Standardise, and raise the rate",
        "First answer: subtract the mean, divide by the standard deviation and raise Adam's rate to 0.01; then it "
        "converges in 1000 iterations.",
        text,
        judged(fast.high <= 1000, bool(fast.reached)),
        figures=(figure,),
    )


def mean_or_spread(run: Run) -> Section:
    """Which part of standardising helps."""
    forms = {"raw": v.RAW, "z-score": v.STANDARD, "minus mean": v.CENTRED, "over sd": v.SCALED, "over 100": v.HUNDREDTH}
    centred, scaled, both = (run.epochs(x).median for x in (v.CENTRED, v.SCALED, v.STANDARD))
    text = (
        f"At rate 0.001, subtracting only the mean takes {number(centred)} epochs in the median, only dividing by the "
        f"standard deviation {number(scaled)}, dividing by 100 {number(run.epochs(v.HUNDREDTH).median)}, both together "
        f"{number(both)}. " + _halves(centred, scaled, both)
    )
    bars = Bars(
        "Epochs to 99 % at rate 0.001", tuple(forms), tuple(run.epochs(x) for x in forms.values()), Axis("epochs")
    )
    return Section(
        "Mean or standard deviation?",
        "First answer: subtract the mean and divide by the standard deviation, which suggests that both are needed.",
        text,
        judged(min(centred, scaled) > 3 * both),
        figures=(bars,),
    )


def _halves(centred: float, scaled: float, both: float) -> str:
    if centred <= 1.5 * both and scaled > 3 * centred:
        return (
            "Centring is what matters; dividing helps only because it also reduces the offset, and less than "
            "subtracting does."
        )
    return "Neither step alone does what both do." if min(centred, scaled) > 3 * both else "One step is nearly enough."


def batch_norm(run: Run, evaluated: Evaluated) -> Section:
    """BatchNorm1d in front."""
    pairs = ((v.NORM, v.STANDARD), (v.NORM10, v.STANDARD10))
    words = [
        f"at rate {a.pace.rate:g} {got(run.epochs(a))} (standardised by hand: {number(run.epochs(b).median)})"
        for a, b in pairs
    ]
    same = all(run.epochs(a).median <= 2 * run.epochs(b).median for a, b in pairs)
    text = (
        f"With BatchNorm1d in front of the raw heart rates it reaches 99 % {' and '.join(words)}. In eval mode, with "
        f"the running statistics of {evaluated.epochs} epochs, the accuracy is {number(100 * evaluated.running)} %; in "
        f"train mode, with those of the batch, {number(100 * evaluated.batch)} %."
    )
    return Section(
        "BatchNorm in front",
        "First answer: if the statistics are not known beforehand, BatchNorm1d in front has the same effect.",
        text,
        judged(same and abs(evaluated.running - evaluated.batch) < 0.02, same),
        figures=(
            Lines(
                "Accuracy at rate 0.01, mean over the seeds",
                EPOCHS,
                Axis("accuracy", "%"),
                tuple(
                    run.curve(x, "accuracy", n)
                    for n, x in {"BatchNorm1d": v.NORM10, "standardised": v.STANDARD10, "raw": v.RAW10}.items()
                ),
            ),
        ),
    )


def logits_loss(run: Run) -> Section:
    """BCEWithLogitsLoss instead of BCELoss."""
    pairs = (
        (v.RAW, v.LOGITS),
        (v.RAW10, v.LOGITS10),
        (v.STANDARD, v.STANDARD_LOGITS),
        (v.STANDARD10, v.STANDARD_LOGITS10),
        (v.NORM10, v.NORM_LOGITS10),
    )
    alike = sum(run.epochs(a).values == run.epochs(b).values for a, b in pairs[2:])
    edge = edges().one
    beyond, wrong = run.beyond(v.RAW, edge)
    text = (
        f"Of the {len(pairs[2:])} pairs with standardised input, {alike} reach 99 % at the same epochs in every "
        f"seed, with either form of the loss. On raw input the medians are {_medians(run, pairs[0])} at rate "
        f"0.001 and {_medians(run, pairs[1])} at rate 0.01.\n\nThe two losses differ where the last sigmoid "
        f"saturates: float32's is exactly 1 from a logit of {number(edge)} on, and there BCELoss has no gradient. "
        f"After the whole raw training {share(beyond, digits=2)} of the outputs are beyond it, and "
        f"{share(wrong, digits=2)} of those are wrong: only these would be lost."
    )
    raw, other = (run.epochs(x).median for x in (v.RAW, v.LOGITS))
    gain = 1.0 if raw == other else raw / other
    return Section(
        "The loss on logits",
        "First answer: BCEWithLogitsLoss without the final sigmoid is numerically safer.",
        text + (" It does not help here: the first layer is saturated, not the last." if 0.5 < gain < 2 else ""),
        judged(gain > 2, True),
        Table(
            ("variant", "BCELoss", "BCEWithLogitsLoss"),
            tuple((a.name, each(run.epochs(a).values), each(run.epochs(b).values)) for a, b in pairs),
            "First epoch at 99 %, per seed",
        ),
    )


def _medians(run: Run, pair: tuple[Variant, Variant]) -> str:
    return " and ".join(number(run.epochs(x).median) for x in pair)
