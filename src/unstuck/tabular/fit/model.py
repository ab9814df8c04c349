"""A fitted model: the encoder, the ensemble, and the decoding to the user's labels and units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.batches import canonical
from unstuck.tabular.fit.calibration import UNCALIBRATED, Calibration
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.ensemble import PLAIN, Context, Stage, grow
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.history import History
from unstuck.tabular.fit.network import with_one
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.task import Task
from unstuck.tabular.fit.train import Shape, Training

Array = np.ndarray
Watch = Callable[[Shape, Training], None]


@dataclass(frozen=True, eq=False)
class Unseen:
    """Predictions for rows that the predicting networks were not trained on."""

    rows: Array
    """Row numbers in the fitted frame, (v,)."""
    answers: Array
    """(v, k), in the format of `Model.answers`."""


@dataclass(frozen=True, eq=False)
class Model:
    """The result of `learn`; the prediction for a row depends on that row alone."""

    encoder: Encoder
    task: Task
    stages: tuple[Stage, ...]
    calibration: Calibration = UNCALIBRATED
    unseen: Unseen | None = None
    notes: tuple[str, ...] = ()

    def answers(self, frame: Frame) -> Array:
        """Predictions (n, k) float64: probabilities of classes or labels, or numbers in the target's units."""
        loss, mixed = self.task.loss, np.zeros((len(frame), self.task.loss.outputs))
        for views in dict.fromkeys(stage.shape.views for stage in self.stages):
            x = with_one(self.encoder.encode(frame, views))
            for stage in self.stages:
                if stage.shape.views == views:
                    mixed += stage.weight * stage.answers(x, loss)
        return self.task.decode(self.calibration.apply(mixed, loss))


def learn(
    frame: Frame,
    y: Array,
    task: Task,
    options: Options | None = None,
    weights: Array | None = None,
    watch: Watch | None = None,
    history: History | None = None,
    before: Model | None = None,
) -> Model:
    """Fit rows of a frame to targets y, (n,) labels or (n, k) numbers as `task` takes them.

    The result depends neither on the order of the rows nor on the units of a column; a row of weight w counts as w
    equal rows. The same rows, options and machine give the same bits. `before`: a model whose networks are trained
    further, with its encoder, instead of new ones.
    """
    context, order = prepared(frame, y, task, options, weights, watch, history, before and before.encoder)
    grown = grow(context, before.stages if before else ())
    calibration = Calibration.of(task.loss, grown.answers, *context.targets(grown.held))
    unseen = Unseen(order[grown.held], task.decode(calibration.apply(grown.answers, task.loss)))
    return Model(context.encoder, task, grown.stages, calibration, unseen, grown.notes)


def prepared(
    frame: Frame, y: Array, task: Task, options: Options | None, weights: Array | None,
    watch: Watch | None = None, history: History | None = None, encoder: Encoder | None = None,
) -> tuple[Context, Array]:  # fmt: skip
    """The training data of the networks, and the row of the frame at each position. `encoder`: measured earlier."""
    encoded = task.encode(y)
    encoder = encoder or Encoder.of(frame, weights, np.abs(encoded.reshape(len(y), -1)))
    order, joint = canonical(encoder.encode(frame, PLAIN), encoded, weights)
    rows, target = frame.take(order), encoded[order]
    context = Context(
        encoder, rows, target, joint, task.strata(target), task.loss,
        options or Options(), watch or (lambda shape, now: None), history or History(),
    )  # fmt: skip
    return context, order
