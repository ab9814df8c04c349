"""Numbers and curves for the study's sections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from unstuck.report.html.figures import Axis, Lines, Series, Spread, number
from unstuck.tabular.studies.cifar.evidence import Evidence
from unstuck.tabular.studies.cifar.variants import Variant

STEP = Axis("step")
LOSS = Axis("training loss", log=True)


def listed(values: Iterable[float], digits: int = 3) -> str:
    """`52.3, 126333, 9.28e+06`."""
    return ", ".join(number(v, digits) for v in values)


def percent(values: Iterable[float]) -> str:
    """Shares in percent: `2, 49, 81 %`."""
    return listed((100 * v for v in values), 3) + " %"


def points(spread: Spread) -> str:
    """Accuracies in percent, per seed: `49.6 and 50 %`."""
    told = [f"{v:.1f}" for v in spread.values]
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told) + " %"


def shown(held: bool, sentence: str, otherwise: str = "This run does not show it.") -> str:
    """A conclusion, if the run supports it; otherwise another sentence."""
    return sentence if held else otherwise


def at(values: Sequence[float], steps: Iterable[int]) -> list[float]:
    """The values at those steps that were run."""
    return [values[s] for s in steps if s < len(values)]


def over_steps(title: str, y: Axis, curves: Mapping[str, Sequence[float]]) -> Lines:
    """Curves with one value per step."""
    return Lines(
        title, STEP, y, tuple(Series(name, tuple(map(float, range(len(v)))), tuple(v)) for name, v in curves.items())
    )


def first_losses(evidence: Evidence, variants: Iterable[Variant], axis: Axis) -> Lines:
    """Losses of the first batches."""
    return over_steps("loss of each batch", axis, {v.name: evidence.watches[v].losses for v in variants})


def by_epoch(evidence: Evidence, variants: Iterable[Variant], title: str) -> Lines:
    """Test accuracy after each epoch, first seed."""
    series = []
    for variant in variants:
        tests = evidence.courses[variant][0].tests
        series.append(
            Series(
                variant.name,
                tuple(float(i) for i in range(1, len(tests) + 1)),
                tuple(100 * scores.accuracy for scores in tests),
            )
        )
    return Lines(title, Axis("epoch"), Axis("test accuracy", "%"), tuple(series))


def smoothed(values: Sequence[float], width: int, until: int) -> Series:
    """Means over `width` steps, up to step `until`, without a name."""
    blocks = [values[i : i + width] for i in range(0, min(until, len(values)), width)]
    return Series("", tuple(width * (i + 0.5) for i in range(len(blocks))), tuple(sum(b) / len(b) for b in blocks))
