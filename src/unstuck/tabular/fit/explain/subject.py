"""What is explained: the predictions of a model on some rows, as a few named numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from unstuck.tabular.fit.explain.units import Unit, stacked
from unstuck.tabular.fit.figures import written
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.task import Classes, Labels, Task

Array = np.ndarray
TINY = 1e-7
"""Lower bound of a probability in a logarithm, as in training."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A model and rows that it was not fitted to."""

    predict: Callable[[Frame], Array]
    """Predictions in the format of `Model.answers`, (n, k)."""
    task: Task
    outputs: tuple[str, ...]
    """Names of what is explained: the second of two classes, else every class, label or number."""
    units: tuple[Unit, ...]
    frame: Frame
    y: Array | None
    """Targets as the task takes them; None if unknown."""
    seed: int = 0
    numbers: Array | None = None
    """What the rows are called, (n,); None: by their place, from 0."""

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def rng(self) -> np.random.Generator:
        """Random numbers, the same at each call."""
        return np.random.Generator(np.random.Philox(key=[self.seed, 0xE1A1]))

    def of(self, frame: Frame) -> Array:
        """The explained numbers, (n, outputs)."""
        found = self.predict(frame)
        return found[:, 1:] if isinstance(self.task, Classes) and found.shape[1] == 2 else found

    def of_all(self, frames: list[Frame]) -> list[Array]:
        """The same for several frames, predicted at once."""
        ends = np.cumsum([len(one) for one in frames])[:-1]
        return np.split(self.of(stacked(frames)), ends)

    def some(self, most: int) -> Subject:
        """At most so many of the rows, drawn at random, in their order."""
        if len(self) <= most:
            return self
        kept = np.sort(self.rng.permutation(len(self))[:most])
        return self.take(kept)

    def take(self, index: Array) -> Subject:
        """Some of the rows."""
        y = None if self.y is None else self.y[index]
        return replace(self, frame=self.frame.take(index), y=y, numbers=self.names[index])

    @property
    def names(self) -> Array:
        """What the rows are called, (n,)."""
        return np.arange(len(self)) if self.numbers is None else self.numbers

    def losses(self, answers: Array) -> Array:
        """The loss of each row, (n,): in nats, or the squared error as a share of the variance of the target; for a
        quantile, the pinball loss in standard deviations of the target."""
        assert self.y is not None
        if isinstance(self.task, Classes):
            place = np.searchsorted(self.task.labels, self.y)
            return -np.log(np.maximum(answers[np.arange(len(self.y)), place], TINY))
        if isinstance(self.task, Labels):
            return -np.log(np.maximum(np.where(self.y > 0.5, answers, 1 - answers), TINY)).sum(axis=1)
        off = (self.y - answers) / np.where(self.task.spread > 0, self.task.spread, 1.0)
        if self.task.quantile is not None:
            return np.maximum(self.task.quantile * off, (self.task.quantile - 1) * off).mean(axis=1)
        return np.square(off).mean(axis=1)

    @property
    def measure(self) -> str:
        """What `losses` are called."""
        if isinstance(self.task, Classes | Labels):
            return "log loss"
        return "unexplained variance" if self.task.quantile is None else "quantile loss"

    @property
    def scale(self) -> Array:
        """Units in which predictions are compared, (outputs,): 1, or the standard deviation of each target."""
        if isinstance(self.task, Classes | Labels):
            return np.ones(len(self.outputs))
        return np.where(self.task.spread > 0, self.task.spread, 1.0)


def outputs(task: Task, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the explained numbers; `names`: those of the targets."""
    if isinstance(task, Classes):
        labels = [f"p({written(label)})" for label in task.labels.tolist()]
        return tuple(labels[1:] if len(labels) == 2 else labels)
    if isinstance(task, Labels):
        return tuple(f"p({name})" for name in task.names)
    return names
