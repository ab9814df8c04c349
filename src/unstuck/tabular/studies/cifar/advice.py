"""The answers' advice, other possible causes, and the cost of the study."""

from __future__ import annotations

from unstuck.report.html.figures import Cell, Spread, Table, number
from unstuck.tabular.studies.cifar.evidence import Evidence
from unstuck.tabular.studies.cifar.variants import BASELINE, CENTRED, HE, REPEATED, STANDARDISED, UNDECAYED, Variant
from unstuck.tabular.studies.cifar.wording import by_epoch, listed, points
from unstuck.tabular.studies.story import Section, share

LIMIT = 50.0
"""The answers' estimate of the best accuracy of such a network, in percent."""


def standardised(e: Evidence) -> Section:
    """Scale the data instead of the rate."""
    cured = e.dead(STANDARDISED).mean < 1 <= e.dead(BASELINE).mean
    faster = e.loss(STANDARDISED).mean < e.loss(BASELINE).mean
    gained = e.accuracy(STANDARDISED).mean - _first(e, BASELINE, e.epochs).mean
    limit = max(e.best(v) for v in (BASELINE, STANDARDISED, HE, CENTRED)) < LIMIT + 5
    bought = "gains" if gained > 1 else "gains no"
    measurement = (
        f"Standardised per channel, {number(e.dead(STANDARDISED).mean)} % of the hidden units are dead at the end "
        f"instead of {number(e.dead(BASELINE).values[0])} %, and the training loss is "
        f"{number(e.loss(STANDARDISED).mean)} instead of {number(e.loss(BASELINE).values[0])}. After {e.short} epochs "
        f"the test accuracy is {points(_first(e, STANDARDISED, e.short))} against "
        f"{points(_first(e, BASELINE, e.short))}; with only the mean subtracted "
        f"{points(_first(e, CENTRED, e.short))}.\n\nAfter all {e.epochs} epochs it {bought} accuracy: "
        f"{points(e.accuracy(STANDARDISED))} (best after any epoch {e.best(STANDARDISED):.1f} %), with He's initial "
        f"weights {points(e.accuracy(HE))} (best {e.best(HE):.1f} %), with only the mean subtracted "
        f"{points(e.accuracy(CENTRED))}; as written {points(_first(e, BASELINE, e.epochs))}. Test loss "
        f"{listed(_tests(e))} for the four in this "
        f"order{': it overfits more, and does not generalise better' if faster and gained < 1 else ''}."
    )
    return Section(
        "Scale the data instead of the rate",
        "Scale the data instead of the rate; and 50 % is about what such a network can reach.",
        measurement,
        "holds" if cured and faster and limit else "partly" if cured or faster or limit else "does not hold",
        None,
        (by_epoch(e, (BASELINE, STANDARDISED, HE, CENTRED), "test accuracy by epoch"),),
    )


def _first(e: Evidence, variant: Variant, epoch: int) -> Spread:
    """The first seed, which all variants share, in percent."""
    return Spread(e.accuracy(variant, epoch).values[:1])


def _tests(e: Evidence) -> list[float]:
    return [e.courses[v][0].last.loss for v in (STANDARDISED, HE, CENTRED, BASELINE)]


def decay(e: Evidence) -> Section:
    """The repeated runs without weight decay."""
    gaps = [abs(a - b) for a, b in (_pair(e, v) for v in REPEATED)]
    matters = max(gaps) > 3
    measurement = (
        f"Without it, the runs of the question differ after {e.short} epochs by {listed(gaps, 2)} points of test "
        f"accuracy. {_same_death(e)}"
        f"{'It matters.' if matters else 'It does not change the answer.'}"
    )
    return Section(
        "Weight decay is part of the problem",
        "Weight decay acts on the scaled weights too, and may be part of the problem.",
        measurement,
        "partly" if matters else "does not hold",
        Table(
            (f"after {e.short} epochs", "with decay: test acc. %", "without", "all-zero from step: with", "without"),
            tuple(_row(e, v) for v in REPEATED),
            "First seed.",
        ),
    )


def _pair(e: Evidence, variant: Variant) -> tuple[float, float]:
    with_, without = (e.courses[v][0].accuracy(e.short) for v in (variant, UNDECAYED[variant]))
    return 100 * with_, 100 * without


def _row(e: Evidence, variant: Variant) -> tuple[Cell, ...]:
    died = (e.courses[v][0].died for v in (variant, UNDECAYED[variant]))
    return (variant.name, *_pair(e, variant), *died)


def _same_death(e: Evidence) -> str:
    died = [e.courses[v][0].died for v in (REPEATED[1], UNDECAYED[REPEATED[1]])]
    if None in died:
        return ""
    return f"With inputs times 255 the outputs become zero at step {died[0]} with it and at step {died[1]} without. "


def price(e: Evidence) -> Section:
    """How close the study runs to the machine's speed."""
    pace = e.pace
    ratio = pace.plain / pace.lane
    return Section(
        "The speed of the study is that of its matrix products",
        "The cost of training this network is that of its matrix products; everything else should be cheap.",
        f"One step of one network is {number(pace.step)} GFLOP. The bare products of the first layer, forward and "
        f"gradient, run at {number(pace.narrow)} GFLOP/s on one core here, and stacked three networks wide at "
        f"{number(pace.wide)}. The study's whole step, with preparation of the batch, loss, momentum and weight decay, "
        f"runs at {number(pace.rate)} GFLOP/s: "
        f"{share(pace.share)} of the bare products. In plain PyTorch one network alone takes "
        f"{number(1e3 * pace.plain)} ms a step, here {number(1e3 * pace.lane)} ms: {number(ratio)} times as fast.",
        "holds" if pace.share > 0.8 and ratio > 1 else "partly",
    )
