"""Train all variants and seeds of the heart-rate study in parallel, and record their curves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as log_loss

from unstuck.tabular.studies.heart_rate.data import Rows, draw, formed, side_by_side
from unstuck.tabular.studies.heart_rate.variants import SETTLED, Variant
from unstuck.tabular.studies.lanes import Lanes, packed, with_one
from unstuck.tabular.studies.nets import module

EVERY = 10
"""Accuracy is measured every 10 epochs, so "first at 99 %" is a multiple of 10."""
SPARSE = 50
"""Interval of the loss and of the largest bias."""
GOOD = 0.99


@dataclass
class Course:
    """One lane's training: accuracy every 10 epochs, loss and largest first-layer bias every 50, final weights."""

    variant: Variant
    seed: int
    accuracy: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    reach: list[float] = field(default_factory=list)
    first: tuple[Tensor, Tensor] | None = None
    """The final first layer: weights (width, inputs), biases (width,)."""
    weights: Tensor | None = None

    @property
    def epochs_to_good(self) -> float:
        """The first measured epoch at 99 %, inf if there is none."""
        return next((float(i * EVERY) for i, a in enumerate(self.accuracy) if i and a >= GOOD), math.inf)

    def accuracy_at(self, epoch: int) -> float:
        """Accuracy in percent after an epoch, or at the end if training stopped earlier."""
        return 100 * self.accuracy[min(epoch // EVERY, len(self.accuracy) - 1)]


@dataclass(frozen=True)
class Trained:
    """All courses by variant, in the order of the seeds, and their cost in seconds of processor time."""

    courses: dict[Variant, list[Course]]
    lane_steps: int
    seconds: float


def train_all(
    variants: Sequence[Variant], seeds: int, limit: int, progress: Callable[[float], None], settled: int = SETTLED
) -> Trained:
    """Train every variant with every seed, at most `limit` epochs; from epoch `settled` on, finished lanes are removed.

    `progress` is called with the share of the work done.
    """
    began, done, courses = time.process_time(), 0, {v: [] for v in variants}
    total = sum(min(v.epochs, limit) * _rows(v) for v in variants)
    share = 0
    for group in _stacks(variants):
        lanes = [Course(v, seed) for v in group for seed in range(seeds)]
        for steps, epoch in _train(lanes, min(group[0].epochs, limit), settled):
            done += steps
            progress((share + sum(min(epoch, limit) * _rows(v) for v in group)) / total)
        share += sum(min(v.epochs, limit) * _rows(v) for v in group)
        for course in lanes:
            courses[course.variant].append(course)
    return Trained(courses, done, time.process_time() - began)


def _rows(variant: Variant) -> int:
    return 60 if variant.source.inputs == 1 else 500


def _stacks(variants: Iterable[Variant]) -> Iterator[list[Variant]]:
    """Group variants that can share a stack: the same network, kind of data and number of epochs."""

    def kind(v: Variant) -> tuple[str, bool, int]:
        return str(v.net), v.source.inputs == 1, v.epochs

    for _, group in groupby(sorted(variants, key=kind), key=kind):
        yield list(group)


def fed(variant: Variant, seed: int) -> Rows:
    """The network's inputs for this variant and seed."""
    return formed(draw(variant.source, seed), "normed" if variant.net.norm else variant.form)


def _train(courses: list[Course], epochs: int, settled: int) -> Iterator[tuple[int, int]]:
    """Train these courses as one stack; yields (lane-steps, epoch) at intervals."""
    net = courses[0].variant.net
    starts = torch.stack([packed(module(net, c.seed)) for c in courses])
    lanes = Lanes(net, starts, [c.variant.pace for c in courses])
    rows = side_by_side([fed(c.variant, c.seed) for c in courses])
    epoch = 0
    while courses and epoch < epochs:
        until = min(epochs, max(settled, epoch + 500))
        for start in range(epoch, until, 500):
            stop = min(until, start + 500)
            _stretch(lanes, rows, courses, range(start, stop))
            yield len(courses) * (stop - start), stop
        epoch = until
        going = [i for i, c in enumerate(courses) if epoch < epochs and (c.variant.whole or not _settled(c))]
        _finish(lanes, rows, courses, set(range(len(courses))) - set(going))
        lanes, courses = lanes.keep(torch.tensor(going, dtype=torch.long)), [courses[i] for i in going]
        rows = Rows(*(part[going] for part in rows))


def _settled(course: Course) -> bool:
    return course.epochs_to_good < math.inf


@torch.no_grad()
def _stretch(lanes: Lanes, rows: Rows, courses: list[Course], epochs: range) -> None:
    x, y, shares = with_one(rows.x), rows.y[:, None], rows.shares[:, None]
    for epoch in epochs:
        z = lanes.step(x, y, shares)
        if epoch % EVERY == 0:
            _note(z, rows, courses, lanes if epoch % SPARSE == 0 else None)


def _note(z: Tensor, rows: Rows, courses: list[Course], lanes: Lanes | None) -> None:
    right = (((z > 0) == (rows.y > 0.5)) * rows.shares).sum(1).tolist()
    for course, share in zip(courses, right, strict=True):
        course.accuracy.append(round(share, 6))  # float32 weights do not sum to exactly one
    if lanes is None:
        return
    losses = (log_loss(z, rows.y, reduction="none") * rows.shares).sum(1).tolist()
    for course, loss, bias in zip(courses, losses, lanes.first()[1].abs().amax(1).tolist(), strict=True):
        course.loss.append(loss)
        course.reach.append(bias)


@torch.no_grad()
def _finish(lanes: Lanes, rows: Rows, courses: list[Course], done: set[int]) -> None:
    """Record the final state of the lanes that end here, without a further step."""
    if not done:
        return
    z, (weights, biases) = lanes.logits(with_one(rows.x)), lanes.first()
    _note(z, rows, courses, lanes)
    for i, course in enumerate(courses):
        if i in done:
            course.first, course.weights = (weights[i].clone(), biases[i].clone()), lanes.weights[i].clone()
        else:  # the next stretch records this point again
            for curve in (course.accuracy, course.loss, course.reach):
                curve.pop()
