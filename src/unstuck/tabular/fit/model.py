"""A fitted model: the encoder, the ensemble and the way back to the person's own labels and units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.batches import canonical
from unstuck.tabular.fit.calibration import AS_THEY_ARE, Belief
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.ensemble import PLAIN, Crew, Ground, Wishes, grow
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.history import Diary
from unstuck.tabular.fit.network import with_one
from unstuck.tabular.fit.task import Task
from unstuck.tabular.fit.train import Shape, Training

Array = np.ndarray
Watch = Callable[[Shape, Training], None]


@dataclass(frozen=True, eq=False)
class Unseen:
    """How the model answers rows that the answering networks were not trained on."""

    rows: Array
    """Numbers of the rows in the frame that was fitted, (v,)."""
    answers: Array
    """(v, k) as `Model.answers` gives them."""


@dataclass(frozen=True, eq=False)
class Model:
    """What `learn` returns; its answers are a function of the rows alone, each row's of that row alone."""

    encoder: Encoder
    task: Task
    crews: tuple[Crew, ...]
    belief: Belief = AS_THEY_ARE
    unseen: Unseen | None = None
    notes: tuple[str, ...] = ()

    def answers(self, frame: Frame) -> Array:
        """For every row, (n, k) float64: probabilities of classes or labels, or numbers in the target's units."""
        loss, mixed = self.task.loss, np.zeros((len(frame), self.task.loss.outputs))
        for views in dict.fromkeys(crew.shape.views for crew in self.crews):
            x = with_one(self.encoder.encode(frame, views))
            for crew in self.crews:
                if crew.shape.views == views:
                    mixed += crew.weight * crew.answers(x, loss)
        return self.task.decode(self.belief.apply(mixed, loss))


def learn(
    frame: Frame,
    y: Array,
    task: Task,
    wishes: Wishes | None = None,
    weights: Array | None = None,
    watch: Watch | None = None,
    history: Diary | None = None,
    before: Model | None = None,
) -> Model:
    """Fit rows of a frame to targets y, (n,) labels or (n, k) numbers as `task` takes them.

    The result depends on the rows, not on their order, nor on the units of any column; a row of weight w counts as w
    equal rows. The same rows, wishes and machine give the same bits. `before`: a model whose networks are trained on,
    behind its encoder, instead of new ones.
    """
    ground, order = prepared(frame, y, task, wishes, weights, watch, history, before and before.encoder)
    grown = grow(ground, before.crews if before else ())
    belief = Belief.of(task.loss, grown.answers, *ground.targets(grown.held))
    unseen = Unseen(order[grown.held], task.decode(belief.apply(grown.answers, task.loss)))
    return Model(ground.encoder, task, grown.crews, belief, unseen, grown.notes)


def prepared(
    frame: Frame, y: Array, task: Task, wishes: Wishes | None, weights: Array | None,
    watch: Watch | None = None, history: Diary | None = None, encoder: Encoder | None = None,
) -> tuple[Ground, Array]:  # fmt: skip
    """What networks are trained on, and which row of the frame stands where in it. `encoder`: as measured before."""
    encoded = task.encode(y)
    encoder = encoder or Encoder.of(frame, weights, np.abs(encoded.reshape(len(y), -1)))
    order, joint = canonical(encoder.encode(frame, PLAIN), encoded, weights)
    rows, target = frame.take(order), encoded[order]
    ground = Ground(
        encoder, rows, target, joint, task.strata(target), task.loss,
        wishes or Wishes(), watch or (lambda shape, now: None), history or Diary(),
    )  # fmt: skip
    return ground, order
