"""What an estimator knows about itself from the rows that it held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from unstuck.tabular.fit.context import FEW
from unstuck.tabular.fit.figures import Score, judge
from unstuck.tabular.fit.separation import Separation
from unstuck.tabular.fit.target import Target
from unstuck.tabular.fit.task import Labels, Numbers, Task

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Held:
    """The targets of the held-out rows, their weights, and the units of a bootstrap; all (v, ...)."""

    y: Array
    counts: Array
    units: Array | None = None

    @classmethod
    def of(cls, model: Any, y: Array, separation: Separation | None) -> Held | None:
        """For the rows that a model held out of the fitted ones; None if it held out none."""
        unseen = model.unseen
        if unseen is None or len(y) < FEW:
            return None
        units = None if separation is None else separation.take(unseen.rows).units()
        return cls(y[unseen.rows], unseen.counts, units)


class Evaluated:
    """An estimator whose `model_` holds predictions for rows that it was not trained on."""

    model_: Any
    _held: Held | None

    @property
    def scores_(self) -> tuple[Score, ...]:
        """The scores on held-out rows, each with its 95 % interval, as in the report of `unstuck fit`; empty if no rows
        were held out, after `partial_fit`, and for a loaded model."""
        check_is_fitted(self)
        held = getattr(self, "_held", None)
        if held is None or self.model_.unseen is None:
            return ()
        task, unseen = self.model_.task, self.model_.unseen
        aim = Target(sort_of(task), names_of(task), np.arange(len(held.y)), held.y, task)
        return judge(aim, unseen.answers, held.y, held.counts, unseen.floor, held.units).scores


def sort_of(task: Task) -> str:
    """The name of the task."""
    if isinstance(task, Numbers):
        return "regression"
    return "multilabel" if isinstance(task, Labels) else "binary" if len(task.labels) == 2 else "multiclass"


def names_of(task: Task) -> tuple[str, ...]:
    """Names of the predicted labels or numbers."""
    if isinstance(task, Labels):
        return task.names
    return tuple(f"y{j}" for j in range(1, len(task.mean) + 1)) if isinstance(task, Numbers) else ("y",)
