"""The ensemble: stages of networks, added while they lower the held-out loss.

The first stage is small and fast. A linear stage is solved beside it. Where columns have long tails, networks may also
learn the errors of the linear stage instead of the target, so that predictions stay linear far out. Then larger
networks with several views of the columns are trained to the end, and, where one of them is better or the table is
small, longer stages follow. Every stage is evaluated on rows that its lanes did not train on, and its weight in the
blend is the one that lowers that loss.
"""

from __future__ import annotations

import math

import numpy as np

from unstuck.tabular.fit.blend import Grown, blended
from unstuck.tabular.fit.context import Context
from unstuck.tabular.fit.linear import everywhere, linear
from unstuck.tabular.fit.loss import Squares
from unstuck.tabular.fit.numeric import KNEE
from unstuck.tabular.fit.stage import PLAIN, WORK, Stage, Trained, trained, views_worth_trying, work_of
from unstuck.tabular.fit.train import Shape

Array = np.ndarray
FIRST = Shape(PLAIN, (32,), "relu")
LARGER = (64, 64)
LANES = 4
TRIED, LONG = 40, 100
"""Epochs of the stages that compare views, and of the final stages."""
CLEAR = 2.0
"""A difference counts from this many standard errors on ..."""
WORTH = 0.01
"""... and from this share of the loss on: less is not worth two longer trainings."""
SMALL = 5000
"""Up to this many rows every stage is trained: it takes seconds."""
BROAD = 2_000_000
"""Most rows that a lane visits in a stage that compares views."""
TAIL = 2 * KNEE
"""A column has long tails if a value lies this many interquartile ranges from the median."""
ALIKE = "larger networks with other views of the columns, trained to the end, are not clearly better"


def grow(context: Context, before: tuple[Stage, ...] = ()) -> Grown:
    """Train stages while another one is worthwhile; or continue the stages of `before`, and train no others."""
    options = context.options
    if before:
        return _continued(context, before)
    if options.hidden or options.activation or options.views:
        shape = Shape(options.views or PLAIN, options.hidden or LARGER, options.activation or "relu")
        stage = trained(context, shape, *_affordable(context, shape))
        return blended(context, [stage], _floor(context, len(stage.flat)), joins=False)
    floor = _floor(context, LANES)
    stages = list(_first(context, floor))
    best = min(stages, key=lambda stage: stage.cost(context))
    tried = [_larger(context, views, number, best.base) for number, views in enumerate(_views(context), 1)]
    if len(context.frame) > SMALL and not any(_clearly_better(context, stage, best) for stage in tried):
        return blended(context, [*stages, *tried], floor, joins=True, notes=(ALIKE,))
    views = min(tried, key=lambda stage: stage.cost(context)).shape.views
    for number, activation in enumerate(("relu", "silu"), len(tried) + 1):
        tried.append(trained(context, Shape(views, LARGER, activation), LANES, LONG, number, best.base))
    return blended(context, [*stages, *tried], floor, joins=True)


def _floor(context: Context, lanes: int) -> Trained | None:
    return None if context.few(context.lanes(lanes)) else linear(context, lanes)


def _first(context: Context, floor: Trained | None) -> list[Trained]:
    """The small stage; where columns have long tails, another one that learns the errors of the linear stage."""
    plain = trained(context, FIRST, LANES, None)
    knots = context.encoder.numeric.knots
    if floor is None or not isinstance(context.loss, Squares) or np.abs(knots).max(initial=0.0) <= TAIL:
        return [plain]
    return [plain, trained(context, FIRST, LANES, None, base=everywhere(floor, context))]


def _views(context: Context) -> list[tuple[str, ...]]:
    return views_worth_trying(context.encoder)


def _larger(context: Context, views: tuple[str, ...], number: int, base: Array | None) -> Trained:
    epochs = min(TRIED, max(BROAD // len(context.frame), 4))
    return trained(context, Shape(views, LARGER, "relu"), LANES, epochs, number, base)


def _clearly_better(context: Context, stage: Trained, than: Trained) -> bool:
    """Whether a stage is better than another on the same held-out rows."""
    y, w = context.targets(than.held)
    before = context.loss.each(than.answers, y)
    gain = before - context.loss.each(stage.of(than.held), y)
    mean, error = float(np.average(gain, weights=w)), float(gain.std() / math.sqrt(len(gain)))
    return mean > max(CLEAR * error, WORTH * float(np.average(before, weights=w)))


def _affordable(context: Context, shape: Shape) -> tuple[int, int]:
    """Lanes and epochs of a stage whose shape the user chose, within the budget."""
    work = work_of(context, shape) * len(context.frame)  # of one lane in one epoch
    lanes = int(np.clip(WORK / (20 * work), 1, 8))
    return lanes, int(np.clip(WORK / (work * lanes), 10, 100))


def _continued(context: Context, before: tuple[Stage, ...]) -> Grown:
    """The stages of a fitted model, trained further."""
    nets = [stage for stage in before if not stage.linear]
    floor = _floor(context, len(before[0].flat))
    base = everywhere(floor, context) if floor and any(stage.onto for stage in nets) else None
    stages = [
        trained(context, one.shape, len(one.flat), 40, number, base if one.onto else None, one.flat)
        for number, one in enumerate(nets)
    ]
    return blended(context, stages, floor, joins=len(nets) < len(before))
