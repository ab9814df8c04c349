"""All measurements of one run of the heart-rate study, and the quantities derived from them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from unstuck.report.html.figures import Series, Spread
from unstuck.tabular.studies.heart_rate.chart import Chart
from unstuck.tabular.studies.heart_rate.courses import EVERY, SPARSE, Course, Trained, fed
from unstuck.tabular.studies.heart_rate.firstlook import SATURATED, FirstLook, look
from unstuck.tabular.studies.heart_rate.variants import Variant
from unstuck.tabular.studies.lanes import Lanes, with_one
from unstuck.tabular.studies.nets import Pace


@dataclass(frozen=True)
class Run:
    """The trained variants, and the numbers of seeds and epochs."""

    story: Trained
    varied: Trained
    chart: Chart
    seeds: int
    limit: int

    def courses(self, variant: Variant) -> list[Course]:
        """A variant's courses, one per seed."""
        return (self.story.courses if variant in self.story.courses else self.varied.courses)[variant]

    def epochs(self, variant: Variant) -> Spread:
        """The first epoch at 99 %, per seed; inf for never."""
        return Spread(tuple(c.epochs_to_good for c in self.courses(variant)))

    def accuracy(self, variant: Variant, epoch: int | None = None) -> Spread:
        """Accuracy in percent after some epochs, or at the end."""
        return Spread(tuple(c.accuracy_at(self.limit if epoch is None else epoch) for c in self.courses(variant)))

    def loss(self, variant: Variant) -> Spread:
        """The final loss."""
        return Spread(tuple(c.loss[-1] for c in self.courses(variant)))

    def reach(self, variant: Variant) -> Spread:
        """The largest bias of the first layer at the end."""
        return Spread(tuple(c.reach[-1] for c in self.courses(variant)))

    @cached_property
    def _looks(self) -> dict[Variant, FirstLook]:
        return {}

    def look(self, variant: Variant) -> FirstLook:
        """The first layer before the first step."""
        if variant not in self._looks:
            self._looks[variant] = look(variant, self.seeds)
        return self._looks[variant]

    def thresholds(self, variant: Variant) -> Tensor:
        """-b/w of all first-layer units at the end (one input)."""
        ends = [c.first for c in self.courses(variant) if c.first is not None]
        return torch.cat([-b / w[:, 0] for w, b in ends])

    def saturated(self, variant: Variant) -> float:
        """The share of pre-activations beyond 5 in absolute value at the end."""
        return statistics.fmean(self._saturated(course) for course in self.courses(variant))

    def _saturated(self, course: Course) -> float:
        assert course.first is not None
        rows, (weights, biases) = fed(course.variant, course.seed), course.first
        before = rows.x @ weights.T + biases
        return float(((before.abs() > SATURATED) * rows.shares[:, None]).sum() / before.shape[1])

    def beyond(self, variant: Variant, edge: float) -> tuple[float, float]:
        """(share of the outputs whose logit exceeds `edge` in absolute value at the end, share of those that are
        wrong)."""
        every = [(_logits(c, rows.x), rows) for c in self.courses(variant) for rows in (fed(variant, c.seed),)]
        far = sum(float(((z.abs() > edge) * rows.shares).sum()) for z, rows in every)
        wrong = sum(float(((z.abs() > edge) * ((z > 0) != (rows.y > 0.5)) * rows.shares).sum()) for z, rows in every)
        return far / len(every), wrong / far if far else 0.0

    def curve(self, variant: Variant, what: str, name: str) -> Series:
        """Accuracy (percent), loss or largest bias by epoch: the mean over the seeds, thinned for drawing."""
        curves = [getattr(course, what) for course in self.courses(variant)]
        every, scale = (EVERY, 100.0) if what == "accuracy" else (SPARSE, 1.0)
        longest = max(map(len, curves))
        picked = sorted({round(1.06**k) for k in range(200) if 1.06**k < longest} | {longest - 1})
        y = tuple(scale * statistics.fmean(c[min(i, len(c) - 1)] for c in curves) for i in picked)
        return Series(name, tuple(float(i * every) for i in picked), y)

    def answers(self, variant: Variant, points: Sequence[float], seed: int, name: str) -> Series:
        """The trained network's output over a range of heart rates; one seed."""
        course = self.courses(variant)[seed]
        rows = fed(variant, course.seed)
        raw = fed(_raw(variant), course.seed)
        # The form is affine, so two raw points and their images determine it.
        low, high = int(raw.x.argmin()), int(raw.x.argmax())
        slope = (rows.x[high] - rows.x[low]) / (raw.x[high] - raw.x[low])
        x = (torch.tensor(points)[:, None] - raw.x[low]) * slope + rows.x[low]
        return Series(name, tuple(points), tuple(_logits(course, x).sigmoid().tolist()))


def _raw(variant: Variant) -> Variant:
    return replace(variant, form="raw", net=replace(variant.net, norm=False))


@torch.no_grad()
def _logits(course: Course, x: Tensor) -> Tensor:
    assert course.weights is not None
    lanes = Lanes(course.variant.net, course.weights[None], [Pace(0.0)])
    return lanes.logits(with_one(x)[None])[0]
