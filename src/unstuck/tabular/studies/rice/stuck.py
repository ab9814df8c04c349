"""Sections on why it gets stuck: the stuck runs, the printed log, the limits of float32, and the initial logits."""

from __future__ import annotations

import statistics

import torch

from unstuck.report.html.figures import Axis, Histogram, Lines, Series, Table, number
from unstuck.tabular.studies.rice.printed_log import (
    DIVISOR,
    PRINTED,
    ROWS,
    TRAIN_RIGHT,
    VAL_RIGHT,
    Derivation,
    confirmed,
    derivations,
)
from unstuck.tabular.studies.rice.run import MAXABS, RAW, RAW_LOGITS, Run
from unstuck.tabular.studies.rice.table import sizes
from unstuck.tabular.studies.rice.training import RATE, Course, Variant
from unstuck.tabular.studies.saturation import POINTS, at, inner_slope
from unstuck.tabular.studies.story import Section, judged, share


def frozen(run: Run) -> Section:
    """How many seeds get stuck."""
    raw, cured = run.courses(RAW), run.accuracy(MAXABS)
    stuck, right = sum(c.stuck for c in raw), run.accuracy(RAW)
    zeros, ones, still = (sum(k) for k in zip(*((c.zeros == 1, c.ones == 1, not c.moved) for c in raw), strict=True))
    text = (
        f"With the table as it is, {stuck} of {run.seeds} seeds end with the same prediction for every grain: {zeros} "
        f"with every output exactly 0.0, {ones} with every output exactly 1.0, {stuck - zeros - ones} with more than "
        f"99 % of them so. In {still} seeds no bit of any weight changes in {run.epochs} epochs. Test accuracy is "
        f"{_told(right)} %; the baseline (always the larger class) is {number(run.larger_class)} %.\n\n"
        f"With every column divided by its largest absolute value, and nothing else changed, the same {run.seeds} "
        f"seeds give {_told(cured)} %, and {sum(c.stuck for c in run.courses(MAXABS))} of them are stuck."
    )
    edges = tuple(float(e) for e in range(40, 101, 2))
    groups = tuple(
        (v.name, _counts([100 * c.test_right for c in run.courses(v)], edges)) for v in (RAW, RAW_LOGITS, MAXABS)
    )
    return Section(
        "Stuck from the start",
        "The question: loss and accuracy stop changing in the first epoch, to the last digit.",
        text,
        judged(stuck > 0.9 * run.seeds, stuck > 0.5 * run.seeds),
        Table(
            ("variant", "test accuracy %", "lowest", "highest", "stuck", "all 0.0", "all 1.0", "never moved"),
            tuple(_row(run, v) for v in run.trained.courses if v.form == "raw"),
        ),
        (Histogram("Test accuracy, one count per seed", Axis("accuracy", "%"), edges, groups, Axis("seeds")),),
    )


def _told(spread) -> str:
    return f"{number(spread.mean, 4)} (sd {number(spread.sd, 2)}, {number(spread.low)} to {number(spread.high)})"


def _row(run: Run, v: Variant):
    courses, right = run.courses(v), run.accuracy(v)
    how = (sum(k) for k in zip(*((c.stuck, c.zeros == 1, c.ones == 1, not c.moved) for c in courses), strict=True))
    return v.name, right, right.low, right.high, *how


def _counts(values: list[float], edges: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(torch.histogram(torch.tensor(values).double(), torch.tensor(edges).double()).hist.tolist())


def printed_log(run: Run) -> Section:
    """What can be derived from the thread's printed log."""
    found = derivations()
    (fits,) = (t for t in found if t.split == sizes(ROWS))
    right, seen = confirmed(_on_raw(run), _labels(run))
    text = _derivation(fits, len(found)) + (
        f"\n\nOur own runs confirm it: of {seen} epochs in which every output was exactly 0.0, {right} print the "
        "loss that this derivation gives from the labels alone."
    )
    derived = f"{fits.last_one:.4f}", f"{fits.last_zero:.4f}"
    printed = tuple(f"{p:.4f}" for p in PRINTED)
    return Section(
        "What the printed log shows",
        f"The thread's log: training loss {PRINTED[0]:.4f} or {PRINTED[1]:.4f}, accuracy {TRAIN_RIGHT} % and "
        f"{VAL_RIGHT} %, in every epoch. It only shows that training failed.",
        text,
        judged(derived != printed or right < seen),
        Table(("printed in the thread", "derived"), tuple(zip(printed, derived, strict=True))),
    )


def _derivation(t: Derivation, found: int) -> str:
    train, val, test = t.split
    whole, alone = divmod(train, 8)
    return (
        f"Assume that every output is exactly 0.0. Then only label 0 is counted as correct, and {TRAIN_RIGHT} % and "
        f"{VAL_RIGHT} % must be shares of whole rows: of all splits in steps of 5 %, {found} "
        f"{'does' if found == 1 else 'do'} fit: {train} / {val} / {test} (70, 15 and 15 %). So {t.train_ones} "
        f"training rows and {t.val_ones} validation rows have label 1.\n\nBCELoss clamps its logarithms at -100: a "
        f"row of label 1 then costs 100, one of label 0 nothing. {train} rows are {whole} batches of 8 and {alone} "
        f"remaining row, which is a batch of its own. If that row has label 1: ({t.train_ones} - 1) * 100 / 8 + 100 = "
        f"{number((t.train_ones - 1) * 12.5 + 100, 7)}; if 0: {t.train_ones} * 100 / 8 = "
        f"{number(t.train_ones * 12.5, 7)}. The validation loss, {t.val_ones} * 100 / 8 = "
        f"{number(t.val_ones * 12.5, 7)}, is added to the same total (a mistake of the program), and the sum is "
        f"divided by {DIVISOR}: {t.last_one:.4f} or {t.last_zero:.4f}, exactly the two values in the log. So every "
        "output was exactly 0.0 from the first epoch on, and the loss alternates between the two values with the "
        "label of one row, the last."
    )


def _on_raw(run: Run) -> list[Course]:
    return [c for v in (RAW, Variant("raw", "probabilities", "relu")) for c in run.courses(v)]


def _labels(run: Run) -> list[tuple[int, int, int, int]]:
    y = torch.from_numpy(run.rice.y)
    splits = [run.split(seed) for seed in range(run.seeds)]
    return [(len(s.train), int(y[s.train].sum()), len(s.val), int(y[s.val].sum())) for s in splits]


def limits(run: Run) -> Section:
    """Sigmoid and loss in float32."""
    e, far, wrong = run.edges, at(-1000.0), at(-100.0)
    text = (
        f"In exact arithmetic they are the same. In float32 the sigmoid is exactly 1 from z = {number(e.one, 5)} on "
        f"and exactly 0 up to z = {number(e.zero, 5)} (float64: 1 from {number(e.one_double, 4)} on). At z = -100 "
        f"with label 1, BCELoss is {number(wrong.loss[1])} (its logarithm is clamped) and its gradient is "
        f"{number(wrong.slope[1])}. The clamp is not what stops learning: the loss's own derivative by p is "
        f"{inner_slope():.0e} there, huge but finite; but the next factor is the derivative of the sigmoid, p (1 - "
        f"p), with p = {number(wrong.sigmoid)} exactly, and the product is 0.\n\nFor label 1 the gradient is -1 down "
        f"to z = {number(e.fading, 4)} and then decays like exp(z), to {at(-30.0).slope[1]:.2g} at -30 and "
        f"{at(-60.0).slope[1]:.2g} at -60; for label 0 it is {number(at(16.0).slope[0])} at 16 and "
        f"{number(at(17.0).slope[0])} at 17. So there is a gradient only for {number(e.fading, 3)} < z < "
        f"{number(e.one, 3)}.\n\nBCEWithLogitsLoss never computes p: at z = -1000 with label 1 its loss is "
        f"{number(far.logits_loss[1])} and its gradient {number(far.logits_slope[1])}. The gradient of a wrong "
        "prediction never vanishes."
    )
    rows = tuple(
        (
            p.z,
            f"{p.sigmoid:.4g}",
            f"{p.loss[1]:.4g}",
            f"{p.slope[1]:.3g}",
            f"{p.slope[0]:.3g}",
            f"{p.logits_loss[1]:.4g}",
            f"{p.logits_slope[1]:.3g}",
        )
        for p in map(at, POINTS)
    )
    heads = ("z", "sigmoid(z)", "BCELoss, y = 1", "dL/dz, y = 1", "dL/dz, y = 0", "WithLogits, y = 1", "dL/dz, y = 1")
    return Section(
        "The limits of float32",
        "The asker knows what the two losses compute: mathematically they are the same, so changing one for the "
        "other cannot matter.",
        text,
        judged(abs(wrong.slope[1]) > 0.5),
        Table(heads, rows, "Computed by torch in float32"),
        (_slopes(),),
    )


def _slopes() -> Lines:
    z = tuple(float(v) for v in range(-100, 31))
    points = [at(v) for v in z]
    series = (
        Series("BCELoss after a sigmoid, y = 1", z, tuple(abs(p.slope[1]) for p in points)),
        Series("BCELoss after a sigmoid, y = 0", z, tuple(abs(p.slope[0]) for p in points)),
        Series("BCEWithLogitsLoss, y = 1", z, tuple(abs(p.logits_slope[1]) for p in points), dashed=True),
    )
    return Lines("Gradient of the loss by the logit", Axis("z"), Axis("|dL/dz|"), series)


def outside(run: Run) -> Section:
    """The initial logits, and the effect of one step."""
    e, raw = run.edges, run.starts["raw"]
    sizes_ = {form: (float(s.logits.abs().median()), float(s.moved.median())) for form, s in run.starts.items()}
    moved = sum(c.moved for c in run.courses(RAW))
    text = (
        f"Before the first step the raw table's logits have a median size of {number(sizes_['raw'][0])} (max-abs: "
        f"{number(sizes_['max-abs'][0], 2)}), and {share(raw.inside(e.fading, e.one), digits=2)} of them are in the "
        f"range with a gradient. A seed that starts inside does not stay: one Adam step at rate {RATE:g} changes a "
        f"logit by {number(sizes_['raw'][1], 2)} in the median, and the whole range is {number(e.one - e.fading, 2)} "
        f"wide (max-abs: {number(sizes_['max-abs'][1], 2)}, z-score: {number(sizes_['z-score'][1], 2)}). Of "
        f"{run.seeds} seeds, {moved} changed a weight at all, and {sum(not c.stuck for c in run.courses(RAW))} did "
        "not end stuck.\n\nThe cause is the size of the columns. The inputs' second moments have a largest "
        f"eigenvalue of {raw.largest:.2g} and a condition number of {raw.condition:.2g}; divided by the largest "
        f"value, {run.starts['max-abs'].largest:.2g} and {run.starts['max-abs'].condition:.2g}; standardised, "
        f"{run.starts['z-score'].largest:.2g} and {run.starts['z-score'].condition:.2g}."
    )
    table = Table(
        (
            "inputs",
            "initial median |z|",
            "in the range with a gradient",
            "one Adam step changes z by",
            "condition number",
            "largest eigenvalue",
        ),
        tuple(
            (
                form,
                number(sizes_[form][0]),
                share(s.inside(e.fading, e.one), digits=2),
                f"{sizes_[form][1]:.2g}",
                f"{s.condition:.2g}",
                f"{s.largest:.2g}",
            )
            for form, s in run.starts.items()
        ),
    )
    return Section(
        "It starts saturated, and one step overshoots",
        "The obvious hope: the initial weights were unlucky; another seed or a few more epochs would help.",
        text,
        judged(
            statistics.fmean(not c.stuck for c in run.courses(RAW)) > 0.5, any(not c.stuck for c in run.courses(RAW))
        ),
        table,
        (_logits(run),),
    )


def _logits(run: Run) -> Histogram:
    edges = torch.linspace(-4, 4, 49)
    groups = []
    for form, start in run.starts.items():
        folded = start.logits.sign() * start.logits.abs().log1p().div(2.302585)
        hist = torch.histogram(folded.double(), edges.double()).hist
        groups.append((form, tuple((hist / hist.sum()).tolist())))
    return Histogram(
        "Logits before the first step", Axis("sign(z) log10(1 + |z|)"), tuple(edges.tolist()), tuple(groups)
    )
