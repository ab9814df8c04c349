"""Plot a fit: losses by epoch, and confusion and calibration, or predictions against truth. Imports matplotlib late."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unstuck.tabular.extras import require
from unstuck.tabular.fit.figures import Figures
from unstuck.tabular.fit.fitted import Course, Fitted
from unstuck.tabular.fit.progress import named
from unstuck.tabular.fit.refusal import CannotFit

SUFFIXES = (".png", ".svg")
NAMED = 15
"""With more classes, the confusion matrix has no class names."""
TRAIN, HELD = "#9aa5b1", "#1f6fb4"


def check(path: str | None) -> None:
    """Raise CannotFit if no figure of this name can be written, before the training."""
    if path is None:
        return
    if Path(path).suffix.lower() not in SUFFIXES:
        raise CannotFit(f"{path}: --plot writes .png or .svg")
    require("matplotlib")


def draw(fitted: Fitted, path: Path) -> None:
    """Write the figure atomically. Raises OSError."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "unstuck"
    from matplotlib import pyplot

    figures = fitted.judged[-1].figures if fitted.judged else None
    panels = [one for one in (_confusion, _calibration, _truth) if figures is not None and _has(one, figures)]
    figure, axes = pyplot.subplots(1, 1 + len(panels), figsize=(5.2 + 4.2 * len(panels), 4.2), squeeze=False)
    _losses(axes[0][0], fitted.courses)
    for axis, panel in zip(axes[0][1:], panels, strict=True):
        panel(axis, figures)  # type: ignore[arg-type]
    # Names are the user's: a dollar sign is not mathematics.
    figure.suptitle(f"{fitted.data}: {', '.join(fitted.targets[:3])}", parse_math=False)
    with warnings.catch_warnings(action="ignore"):  # glyphs missing from the font
        figure.tight_layout()
    beside = path.with_name(path.name + ".new")
    try:
        with warnings.catch_warnings(action="ignore"):  # glyphs missing from the font
            figure.savefig(beside, format=path.suffix[1:].lower(), dpi=150, metadata=_dateless(path))
        beside.replace(path)
    finally:
        pyplot.close(figure)
        beside.unlink(missing_ok=True)


def _has(panel: Callable[..., None], figures: Figures) -> bool:
    return bool({_confusion: figures.confusion, _calibration: figures.bins, _truth: figures.pairs}[panel])


def _dateless(path: Path) -> dict[str, None]:
    """Metadata without a date, so that the same fit writes the same bytes."""
    return {"Date": None} if path.suffix.lower() == ".svg" else {}


def _losses(axis: Any, courses: tuple[Course, ...]) -> None:
    for course in courses:
        main = course.weight == max(one.weight for one in courses)
        numbers = [e.number for e in course.epochs]
        label = named(course.shape) if course.shape else "a stage with weight 0"
        axis.plot(numbers, [e.held for e in course.epochs], color=HELD, alpha=1 if main else 0.3, lw=1.8 if main else 1)
        axis.plot(
            numbers, [e.train for e in course.epochs], color=TRAIN, alpha=1 if main else 0.3, lw=1.2 if main else 0.8
        )
        if main:
            axis.set_title(f"{label} ({len(courses)} trained)", fontsize=10)
    axis.plot([], [], color=HELD, label="held out")
    axis.plot([], [], color=TRAIN, label="training")
    losses = [loss for course in courses for e in course.epochs for loss in (e.held, e.train)]
    if losses and min(losses) > 0 and max(losses) / min(losses) > 8:
        axis.set_yscale("log")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_xlabel("epoch")
    axis.set_ylabel("loss")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)


def _confusion(axis: Any, figures: Figures) -> None:
    rows = [[cell / max(sum(row), 1e-300) for cell in row] for row in figures.confusion]
    axis.imshow(rows, cmap="Blues", vmin=0, vmax=1)
    k = len(figures.labels)
    if k <= NAMED:
        axis.set_xticks(
            range(k), figures.labels, rotation=45 if k > 3 else 0, ha="right" if k > 3 else "center", parse_math=False
        )
        axis.set_yticks(range(k), figures.labels, parse_math=False)
        for i, row in enumerate(figures.confusion):
            for j, cell in enumerate(row):
                ink = "white" if rows[i][j] > 0.5 else "black"
                axis.text(j, i, f"{cell:,.6g}", ha="center", va="center", color=ink, fontsize=9 if k <= 5 else 6)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.set_title("confusion", fontsize=10)


def _truth(axis: Any, figures: Figures) -> None:
    true, given = [a for a, _ in figures.pairs], [b for _, b in figures.pairs]
    ends = [min(*true, *given), max(*true, *given)]
    axis.plot(ends, ends, color=TRAIN, lw=1)
    axis.scatter(true, given, s=9, color=HELD, alpha=0.5, zorder=3, linewidths=0)
    axis.xaxis.get_major_locator().set_params(nbins=4)
    axis.set(xlabel="true", ylabel="predicted")
    axis.set_title(f"{figures.scores[0].name} {figures.scores[0].model:.4g}", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)


def _calibration(axis: Any, figures: Figures) -> None:
    most = max(one.rows for one in figures.bins)
    axis.plot([0, 1], [0, 1], color=TRAIN, lw=1)
    axis.scatter(
        [one.said for one in figures.bins], [one.came for one in figures.bins],
        s=[12 + 90 * one.rows / most for one in figures.bins], color=HELD, zorder=3,
    )  # fmt: skip
    axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="predicted", ylabel="observed")
    axis.set_title(f"calibration: mean error {figures.calibration_error or 0:.2%}", fontsize=10)
    axis.set_aspect("equal")
    axis.spines[["top", "right"]].set_visible(False)
