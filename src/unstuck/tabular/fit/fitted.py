"""The result of a fit, from which the report, the plot and the JSON are made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from unstuck import __version__
from unstuck.tabular.fit.figures import Figures
from unstuck.tabular.fit.model import Model
from unstuck.tabular.fit.train import Epoch, Shape

if TYPE_CHECKING:
    from unstuck.tabular.fit.explain.explanation import Explanation


@dataclass(frozen=True)
class Course:
    """A stage's loss curve; `weight`: its share of the blend, 0 if it was not used."""

    name: str
    shape: Shape | None
    lanes: int
    weight: float
    epochs: tuple[Epoch, ...]


@dataclass(frozen=True)
class Judged:
    """Figures, and the rows they were measured on."""

    of: str
    figures: Figures


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model and its evaluation."""

    data: str
    sort: str
    targets: tuple[str, ...]
    inputs: tuple[str, ...]
    rows: int
    """The number of training rows."""
    model: Model
    judged: tuple[Judged, ...]
    """Ordered; the last evaluation is the strictest."""
    courses: tuple[Course, ...]
    notes: tuple[str, ...]
    seconds: float
    saved: str | None = None
    explanation: Explanation | None = None
    """For the page of --html."""

    @property
    def duplicates(self) -> bool:
        """Whether rows with equal inputs occur; False if unknown."""
        return self.model.distinct is not None and self.model.distinct < self.rows

    def plain(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            "format": 1,
            "unstuck": __version__,
            "data": self.data,
            "task": self.sort,
            "targets": list(self.targets),
            "inputs": list(self.inputs),
            "rows": self.rows,
            "distinct": self.model.distinct,
            "seconds": round(self.seconds, 3),
            "judged": [{"of": one.of} | one.figures.plain() for one in self.judged],
            "crews": [asdict(course) for course in self.courses],
            "notes": list(self.notes),
            "model": self.saved,
        }


def courses(model: Model, curves: dict[str, list[Epoch]]) -> tuple[Course, ...]:
    """The stages in training order."""
    shares = {stage.name: stage for stage in model.stages}
    out = []
    for key, epochs in curves.items():
        stage = shares.get(key)
        lanes, weight = (len(stage.flat), stage.weight) if stage else (0, 0.0)
        out.append(Course(key, stage and stage.shape, lanes, weight, tuple(epochs)))
    return tuple(out)
