"""Sections beyond one setting: the map over data, network and optimizer, and every variant seed by seed."""

from __future__ import annotations

import math
import statistics

from unstuck.report.html.figures import Axis, Lines, Series, Table, each, number
from unstuck.tabular.studies.heart_rate import variants as v
from unstuck.tabular.studies.heart_rate.chart import CENTRES, COLUMNS, RATES, SGD_RATES, SPREADS, WIDTHS, place
from unstuck.tabular.studies.heart_rate.run import Run
from unstuck.tabular.studies.story import Section, judged, share


def chart(run: Run) -> Section:
    """For which data the answers hold."""
    near = [place(centre=c, spread=s) for c in CENTRES for s in SPREADS if c <= s]
    far = [place(centre=c, spread=s) for c in CENTRES for s in SPREADS if c > 10 * s]
    z = [place(rate=r, width=w, form="z-score") for r in RATES for w in WIDTHS]
    raw = [place(rate=r, width=w) for r in RATES for w in WIDTHS]
    text = (
        f"Centre and spread (Adam, 0.01): where the centre is within one spread of zero, {_reached(run, near)} cells "
        f"reach 99 %, in {_range(run, near)} epochs; where it is more than ten spreads away, {_reached(run, far)}, in "
        f"{_range(run, far)}.\n\nRate and width: standardised, {_reached(run, z)} cells reach 99 % (raw, at centre 92 "
        f"and spread 10: {_reached(run, raw)}), and where both do, standardising is {_gain(run, z, raw)} times as "
        "fast in the median. Standardised data is the same for any centre and spread, so this section of the map "
        f"holds for all of them.\n\nOptimizer: with plain SGD {_reached(run, _sgd(0.0))} rates reach 99 % for centre "
        f"0, and {_reached(run, _sgd(92.0))} for centre 92; with Adam {_reached(run, _adam(0.0))} and "
        f"{_reached(run, _adam(92.0))}.\n\nColumns: {_columns(run, 10.0)}; {_columns(run, 92.0)}.\n\n" + _distance(run)
    )
    worse = _share(run, far) < _share(run, near) or _middle(run, far) > 3 * _middle(run, near)
    return Section(
        "For which data, networks and rates",
        "The answers are about one data set, one network and one optimizer; the offset also hurts with others.",
        text,
        judged(worse and _share(run, z) >= _share(run, raw), worse),
        figures=(_against_centre(run), *run.chart.figures()),
    )


def _sgd(centre: float) -> list[v.Variant]:
    return [place(centre=centre, rate=r, sgd=True) for r in SGD_RATES]


def _adam(centre: float) -> list[v.Variant]:
    return [place(centre=centre, rate=r) for r in RATES]


def _against_centre(run: Run) -> Lines:
    """Accuracy against the centre of the data: after 1000 epochs at three rates."""
    epoch = min(1000, run.limit)
    lines = []
    for rate in (0.001, 0.01, 0.1):
        courses = [run.chart.trained.courses[place(centre=c, rate=rate)] for c in CENTRES]
        right = tuple(statistics.fmean(c.accuracy_at(epoch) for c in seeds) for seeds in courses)
        lines.append(Series(f"rate {rate:g}", CENTRES, right))
    title = f"Accuracy after {epoch} epochs against the centre of the data (spread 10, Adam)"
    return Lines(title, Axis("centre"), Axis("accuracy", "%"), tuple(lines))


def _columns(run: Run, centre: float) -> str:
    """How the number of epochs grows with the number of columns, at one centre."""
    cells = [place(centre=centre, columns=n) for n in COLUMNS]
    told = (f"{number(run.chart.epochs(cell))} with {n}" for cell, n in zip(cells, COLUMNS, strict=True))
    return f"around {centre:g}, {', '.join(told)}"


def _known(run: Run, cells: list[v.Variant]) -> list[float]:
    return sorted(e for e in map(run.chart.epochs, cells) if math.isfinite(e))


def _share(run: Run, cells: list[v.Variant]) -> float:
    return len(_known(run, cells)) / len(cells)


def _middle(run: Run, cells: list[v.Variant]) -> float:
    every = sorted(map(run.chart.epochs, cells))
    return every[len(every) // 2]


def _reached(run: Run, cells: list[v.Variant]) -> str:
    return f"{len(_known(run, cells))} of {len(cells)}"


def _range(run: Run, cells: list[v.Variant]) -> str:
    known = _known(run, cells)
    return f"{number(known[0])} to {number(known[-1])}" if known else "none"


def _gain(run: Run, treated: list[v.Variant], raw: list[v.Variant]) -> str:
    pairs = [(run.chart.epochs(a), run.chart.epochs(b)) for a, b in zip(treated, raw, strict=True)]
    ratios = sorted(b / a for a, b in pairs if math.isfinite(a) and math.isfinite(b))
    return number(ratios[len(ratios) // 2], 2) if ratios else "-"


def _distance(run: Run) -> str:
    """Epochs against rate: a fixed distance takes ten times as long at a tenth of the rate."""
    slow, fast = (run.chart.epochs(place(rate=r)) for r in (0.001, 0.01))
    if not (math.isfinite(slow) and math.isfinite(fast)):
        return "How the epochs at centre 92 depend on the rate is unknown: 99 % was not reached at both rates."
    return (
        f"At centre 92, a tenth of the rate (0.001 instead of 0.01) takes {number(slow / fast, 2)} times the epochs: "
        "the same distance in smaller steps, until the steps are so large that they jump over the data."
    )


def sensitivity(run: Run) -> Section:
    """Other widths, spreads and plain SGD."""
    raws = [x for x in v.SENSITIVITY if x.form == "raw"]
    standard = [x for x in v.SENSITIVITY if x.form == "z-score"]
    text = (
        f"Of {len(raws)} raw variants with another width, spread or optimizer, "
        f"{sum(run.epochs(x).reached == run.seeds for x in raws)} reach 99 % with every seed within "
        f"{min(v.SHORT, run.limit)} epochs; of {len(standard)} standardised ones, "
        f"{sum(run.epochs(x).reached == run.seeds for x in standard)}. {_widths(run)} {_spreads(run)}"
    )
    rows = tuple(
        (x.group, x.name, run.epochs(x).median, each(run.epochs(x).values), run.accuracy(x, 5000))
        for x in v.SENSITIVITY
    )
    fine = all(run.epochs(x).reached == run.seeds for x in standard) and any(
        run.epochs(x).reached < run.seeds for x in raws
    )
    return Section(
        "Other widths, spreads, optimizers",
        "Implied by one example: the fix depends on ten hidden units, a spread of ten, or Adam.",
        text,
        judged(not fine),
        Table(("change", "variant", "median epochs", "per seed", f"accuracy % after {min(5000, run.limit)}"), rows),
    )


def _medians(run: Run, group: str) -> float:
    """The median epochs of raw input at rate 0.01 in one group; those of the main variant for an unknown group."""
    found = (x for x in v.SENSITIVITY if x.group == group and x.form == "raw" and x.pace == v.RAW10.pace)
    return run.epochs(next(found, v.RAW10)).median


def _widths(run: Run) -> str:
    few, some, many = (_medians(run, g) for g in ("2 units", "10 units", "50 units"))
    told = f"Raw at rate 0.01, 2, 10 and 50 units take {number(few)}, {number(some)} and {number(many)} epochs"
    return told + (
        ": with many units, one is more likely to have its threshold arrive early." if few > some > many else "."
    )


def _spreads(run: Run) -> str:
    narrow, some, wide = (_medians(run, g) for g in ("spread 3", "spread 10", "spread 20"))
    told = f"Spreads of 3, 10 and 20 take {number(narrow)}, {number(some)} and {number(wide)}"
    return told + (": the narrower the data, the more spreads it is away from zero." if narrow > some > wide else ".")


def every_variant(run: Run) -> Section:
    """The whole table, and how much a single run would have shown."""
    spans = [(x, e.high / e.low) for x in v.STORY if (e := run.epochs(x)).reached == run.seeds]
    widest, factor = max(spans, key=lambda p: p[1], default=(v.RAW, math.nan))
    text = (
        f"{len(v.STORY)} variants, {run.seeds} seeds each, for data and initial weights. Where all seeds reach 99 %, "
        f"the slowest takes up to {number(factor, 2)} times as long as the fastest ({widest.group}, {widest.name}). "
        f"{_relapses(run)} A single run is not a measurement."
    )
    early, late = min(1000, run.limit), min(5000, run.limit)
    rows = tuple(
        (
            x.group,
            x.name,
            each(run.epochs(x).values),
            number(run.epochs(x).median),
            run.accuracy(x, early),
            run.accuracy(x, late),
            share(run.look(x).saturated, digits=2),
        )
        for x in v.STORY
    )
    return Section(
        "Every variant, seed by seed",
        "Implied by posting one run: one run is enough to judge a variant.",
        text,
        judged(factor < 1.5, factor < 2),
        Table(
            (
                "data",
                "variant",
                "first epoch at 99 %, per seed",
                "median",
                f"accuracy % after {early}",
                f"after {late}",
                "saturated at the start",
            ),
            rows,
        ),
    )


def _relapses(run: Run) -> str:
    """Runs that reach 99 % and fall back: the first epoch at 99 % is not always final."""
    fallen = [
        (x, c) for x in v.STORY for c in run.courses(x)
        if math.isfinite(first := c.epochs_to_good) and min(c.accuracy[round(first) // 10 :]) < 0.95
    ]  # fmt: skip
    if not fallen:
        return "No run that reached 99 % fell below 95 % afterwards."
    one = fallen[0][1]
    told = f"{len(fallen)} runs reached 99 % and fell below 95 % again afterwards"
    return f"{told} (for example {one.variant.name}, seed {one.seed})."
