"""The section on step 0: the initial weights do not fit the data."""

from __future__ import annotations

import torch
from torch import Tensor

from unstuck.report.html.figures import Axis, Histogram, Table, number
from unstuck.tabular.studies.heart_rate import variants as v
from unstuck.tabular.studies.heart_rate.run import Run
from unstuck.tabular.studies.heart_rate.words import times
from unstuck.tabular.studies.story import Section, judged, share


def not_foreseen(run: Run) -> Section:
    """What the first layer sees at step 0."""
    raw, standard = run.look(v.RAW), run.look(v.STANDARD)
    inside = _within(raw.thresholds, 60, 125)
    text = (
        "torch draws weight and bias of the first layer from [-1, 1]. With an input near 92 the pre-activation w x "
        f"+ b has a mean absolute value of {number(raw.size)} (standardised: {number(standard.size, 2)}), and "
        f"{share(raw.saturated, digits=2)} of them are beyond 5, where the sigmoid saturates: its mean derivative is "
        f"{number(raw.slope, 2)} against {number(standard.slope, 2)} ({times(standard.slope, raw.slope)} "
        f"as large). Over the whole data a hidden unit varies by only {number(raw.swing, 2)} (standardised: "
        f"{number(standard.swing, 3)}, {times(standard.swing, raw.swing)} as much): for the second layer it is nearly "
        f"constant. A unit switches at -b/w; {share(inside, digits=2)} of these thresholds are between 60 and 125, "
        "where the data is."
    )
    rows = (v.RAW, v.SCALED, v.HUNDREDTH, v.CENTRED, v.STANDARD, v.FAR_CIRCLES, v.CIRCLES)
    table = Table(
        ("data", "input", "mean |w x + b|", "beyond 5", "mean derivative", "sd of a unit", "median |dL/db|"),
        tuple(
            (
                x.group,
                x.form,
                k.size,
                share(k.saturated, digits=2),
                k.slope,
                k.swing,
                f"{float(k.gradients.median()):.2g}",
            )
            for x, k in ((x, run.look(x)) for x in rows)
        ),
    )
    return Section(
        "The initial weights do not fit the data",
        "First answer, after He et al. 2015: initial weights are drawn for inputs around zero, not for the offset of "
        "this data.",
        text,
        judged(raw.saturated > 0.5 and standard.saturated < 0.1, raw.saturated > 2 * standard.saturated),
        table,
        (_before(run), _gradients(run)),
    )


def _within(thresholds: Tensor, low: float, high: float) -> float:
    return float(((thresholds > low) & (thresholds < high)).float().mean())


def _before(run: Run) -> Histogram:
    edges = torch.linspace(-105, 105, 43)
    groups = tuple(
        (x.form, _shares(run.look(x).before, run.look(x).weights, edges)) for x in (v.RAW, v.CENTRED, v.STANDARD)
    )
    return Histogram(
        "Pre-activations of the first layer before the first step", Axis("w x + b"), tuple(edges.tolist()), groups
    )


def _shares(values: Tensor, weights: Tensor, edges: Tensor) -> tuple[float, ...]:
    return tuple(torch.histogram(values.double(), edges.double(), weight=weights.double()).hist.tolist())


def _gradients(run: Run) -> Histogram:
    edges = torch.linspace(-30, 0, 31)
    groups = []
    for x in (v.RAW, v.CENTRED, v.STANDARD):
        slopes = run.look(x).gradients.clamp_min(1e-30).log10()
        groups.append((x.form, _shares(slopes, torch.full_like(slopes, 1 / len(slopes)), edges)))
    title = "Gradients of the first layer's biases before the first step"
    return Histogram(title, Axis("log10 |dL/db|, clipped at -30"), tuple(edges.tolist()), tuple(groups))
