"""A fitted model: the encoder, the ensemble, and the decoding to the user's labels and units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from unstuck.tabular.fit.calibration import UNCALIBRATED, Calibration
from unstuck.tabular.fit.categories import Column
from unstuck.tabular.fit.conformal import Conformal
from unstuck.tabular.fit.context import Context
from unstuck.tabular.fit.effects import standardised
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.ensemble import grow
from unstuck.tabular.fit.equal import Distinct, distinct
from unstuck.tabular.fit.floors import compared
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.grid import marks
from unstuck.tabular.fit.history import History
from unstuck.tabular.fit.loss import Loss, Squares
from unstuck.tabular.fit.network import with_one
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.repeats import copies
from unstuck.tabular.fit.resources import UNLIMITED, Resources
from unstuck.tabular.fit.separation import Separation
from unstuck.tabular.fit.stage import PLAIN, Stage
from unstuck.tabular.fit.task import Numbers, Task
from unstuck.tabular.fit.train import Shape, Training

Array = np.ndarray
Watch = Callable[[Shape, Training], None]
FAR = 10.0
"""Predictions go at most this many ranges of the training targets beyond their ends."""


@dataclass(frozen=True, eq=False)
class Unseen:
    """Predictions for rows that the predicting networks were not trained on."""

    rows: Array
    """Row numbers in the fitted frame, (v,)."""
    answers: Array
    """(v, k), in the format of `Model.answers`."""
    counts: Array
    """How many rows, or which weight, each of them stands for, (v,): equal rows were merged."""
    floor: Array | None = None
    """The predictions of the linear model for them, like `answers`."""


@dataclass(frozen=True, eq=False)
class Model:
    """The result of `learn`; the prediction for a row depends on that row alone."""

    encoder: Encoder
    task: Task
    stages: tuple[Stage, ...]
    calibration: Calibration = UNCALIBRATED
    unseen: Unseen | None = None
    notes: tuple[str, ...] = ()
    bounds: Array | None = None
    """The lowest and the highest number ever predicted, (2, outputs), in standardised units; None for classes."""
    floor: Stage | None = None
    """The linear model that this one was compared with; not saved."""
    distinct: int | None = None
    """The number of distinct inputs in training; not saved."""
    conformal: Conformal | None = None
    """The errors of the held-out rows, for intervals; None for classes, and where no rows were held out."""

    def answers(self, frame: Frame) -> Array:
        """Predictions (n, k) float64: probabilities of classes or labels, or numbers in the target's units."""
        loss, mixed = self.task.loss, np.zeros((len(frame), self.task.loss.outputs))
        for views in dict.fromkeys(stage.shape.views for stage in self.stages):
            x = with_one(self.encoder.encode(frame, views))
            for stage in self.stages:
                if stage.shape.views == views:
                    mixed += stage.weight * stage.answers(x, loss)
        return self.task.decode(self.calibration.apply(capped(mixed, self.bounds), loss))

    def floor_answers(self, frame: Frame) -> Array | None:
        """The predictions of the linear model, in the same format; None if there is none."""
        if self.floor is None:
            return None
        x = with_one(self.encoder.encode(frame, self.floor.shape.views))
        return self.task.decode(capped(self.floor.answers(x, self.task.loss), self.bounds))


def learn(
    frame: Frame,
    y: Array,
    task: Task,
    options: Options | None = None,
    weights: Array | None = None,
    watch: Watch | None = None,
    history: History | None = None,
    before: Model | None = None,
    resources: Resources | None = None,
    separation: Separation | None = None,
) -> Model:
    """Fit rows of a frame to targets y, (n,) labels or (n, k) numbers as `task` takes them.

    The result depends neither on the order of the rows nor on the units of a column; a row of weight w counts as w
    equal rows. The same rows, options and machine give the same bits. `before`: a model whose networks are trained
    further, with its encoder, instead of new ones. `resources`: the time and the threads. `separation`: groups and
    times that are kept apart in everything that is held out. Raises CannotFit where they leave nothing to train on.
    """
    context, rows = prepared(frame, y, task, options, weights, watch, history, before and before.encoder, separation)
    context = replace(context, resources=resources or UNLIMITED)
    grown = grow(context, before.stages if before else ())
    bounds = bounds_of(task.loss, context.y)
    mixed = capped(grown.answers, bounds)
    calibration = Calibration.of(task.loss, mixed, *context.targets(grown.held))
    mixed = calibration.apply(mixed, task.loss)
    floor = None if grown.floor_answers is None else capped(grown.floor_answers, bounds)
    notes = (*grown.notes, *compared(context, grown.held, mixed, floor), *_copied(frame, y, separation))
    seen = Unseen(
        rows.order[grown.held], task.decode(mixed), rows.rows[grown.held], None if floor is None else task.decode(floor)
    )
    conformal = None
    if isinstance(task, Numbers) and not context.few(context.lanes(1)):
        conformal = Conformal.of(task.decode(context.y[grown.held]) - seen.answers, seen.counts)
    return Model(
        context.encoder, task, grown.stages, calibration, seen, notes, bounds, grown.floor, different(frame), conformal
    )


def prepared(
    frame: Frame, y: Array, task: Task, options: Options | None, weights: Array | None,
    watch: Watch | None = None, history: History | None = None, encoder: Encoder | None = None,
    separation: Separation | None = None,
) -> tuple[Context, Distinct]:  # fmt: skip
    """The training data of the networks, and the rows of the frame that they are. `encoder`: measured earlier."""
    encoded = task.encode(y)
    measured = encoder is None
    encoder = encoder or Encoder.of(frame, weights, np.abs(encoded.reshape(len(y), -1)))
    keys = None if separation is None else separation.marks()
    rows = distinct(encoder.encode(frame, PLAIN), encoded, weights, _columns(frame, encoder), keys)
    own, target = frame.take(rows.order), encoded[rows.order]
    if measured:
        encoder = encoder.with_effects(own, standardised(target, task.loss.outputs, rows.counts), rows.counts)
    context = Context(
        encoder, own, target, rows.w, rows.counts, task.strata(target), rows.group, task.loss,
        options or Options(), watch or (lambda shape, now: None), history or History(),
        separation=None if separation is None else separation.take(rows.order),
    )  # fmt: skip
    return context, rows


def _copied(frame: Frame, y: Array, separation: Separation | None) -> Iterator[str]:
    """A note on equal rows that the separation does not keep together."""
    if separation is None:
        return
    alone, what = (separation.time, "times") if separation.group is None else (separation.group, "groups")
    assert alone is not None
    if number := int(copies(frame, y, alone).sum()):
        yield f"{number:,} rows are copies of rows of other {what}, which may be trained on while they are held out"


def different(frame: Frame) -> int:
    """The number of distinct rows of a frame."""
    numbers = np.where(np.isnan(frame.numbers), np.nan, frame.numbers) + 0.0  # one NaN, and one zero
    parts = [numbers.astype(np.float64), *(_codes(column)[:, None].astype(np.float64) for column in frame.words)]
    return len(np.unique(marks(np.concatenate(parts, axis=1))))


def _columns(frame: Frame, encoder: Encoder) -> Iterator[Array]:
    """The values of each column, (n,)."""
    yield from encoder.numeric.standard(frame.numbers).T
    yield from map(_codes, frame.words)


def _codes(column: Column) -> Array:
    """A number for every word, and for a missing one."""
    known: dict[str | None, int] = {}
    return np.array([known.setdefault(word, len(known)) for word in column], np.int64)


def bounds_of(loss: Loss, y: Array) -> Array | None:
    """How far predictions of encoded numbers y (n, k) may go, (2, k)."""
    if not isinstance(loss, Squares):
        return None
    low, high = y.min(axis=0).astype(np.float64), y.max(axis=0).astype(np.float64)
    return np.stack([low - FAR * (high - low), high + FAR * (high - low)])


def capped(answers: Array, bounds: Array | None) -> Array:
    """Predictions (n, k) within the bounds."""
    return answers if bounds is None else np.clip(answers, bounds[0], bounds[1])
