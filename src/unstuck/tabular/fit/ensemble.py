"""The ensemble: stages of networks, added while they lower the held-out loss.

The first stage is small and fast. A linear stage is solved beside it. Where columns have long tails, networks may also
learn the errors of the linear stage instead of the target, so that predictions stay linear far out. With many rows,
larger stages follow only if the errors of these stages have structure left. One lane of a larger network is trained
with each combination of views of the columns, and those of the best one are used. Decision trees are grown beside the
networks where they lower the loss. Every stage is evaluated on rows that its lanes did not train on, and its weight in
the blend is the one that lowers that loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from unstuck.tabular.fit.blend import Grown, blended
from unstuck.tabular.fit.boosting import boosted
from unstuck.tabular.fit.context import Context
from unstuck.tabular.fit.course import Log
from unstuck.tabular.fit.history import History
from unstuck.tabular.fit.leftover import leftover
from unstuck.tabular.fit.linear import everywhere, linear
from unstuck.tabular.fit.loss import Squares
from unstuck.tabular.fit.numeric import KNEE
from unstuck.tabular.fit.stage import PLAIN, WORK, Stage, Trained, trained, views_worth_trying, work_of
from unstuck.tabular.fit.train import Shape, Training

Array = np.ndarray
Task = Callable[[Context], Trained]
"""Trains a stage."""
FIRST = Shape(PLAIN, (32,), "relu")
LARGER = (64, 64)
LANES = 4
FEWER = 2
"""Lanes of the larger stages with many rows, of which each holds out enough to compare stages."""
SMALL = 5000
"""With more rows larger stages are trained only if there is structure left, and with fewer lanes."""
TRIED, LONG = 40, 100
"""Most epochs of the trials that compare views, and of the final stages."""
TRIAL_VISITS, VISITS, MORE_VISITS = 250_000, 250_000, 1_000_000
"""Rows that a lane visits in a trial, and in a final stage with few and with many rows; at least 4 and 20 epochs."""
WORTH = 25.0
"""Nats of structure in the held-out errors of the small stage from which on larger stages are trained."""
TAIL = 2 * KNEE
"""A column has long tails if a value lies this many interquartile ranges from the median."""
SETTLED = "larger networks were not trained: the errors of a small one show no structure in any two columns"
SOON = 0.2
"""With fewer seconds left, no larger network is begun."""
HURRIED = "larger networks were not trained: the time was over"


def grow(context: Context, before: tuple[Stage, ...] = ()) -> Grown:
    """Train stages while another one is worthwhile; or continue the stages of `before`, and train no others."""
    options = context.options
    if before:
        return _continued(context, before)
    if options.hidden or options.activation or options.views:
        shape = Shape(options.views or PLAIN, options.hidden or LARGER, options.activation or "relu")
        stage = trained(context, shape, *_affordable(context, shape), time=0.9)
        return blended(context, [stage], _floor(context, len(stage.flat)), joins=False)
    floor = _floor(context, LANES)
    stages = list(_first(context, floor))
    small = blended(context, stages, floor, joins=True, notes=(SETTLED,))
    if len(context.frame) > SMALL and leftover(context, small.held, small.answers) < WORTH:
        return small
    base = min(stages, key=lambda stage: stage.cost(context)).base
    if not context.resources.allows(SOON):
        return replace(small, notes=(HURRIED,))
    stages += _larger(context, base)
    nets = blended(context, stages, None, joins=False)
    grown = boosted(context, _lanes(context), nets.held, nets.answers)
    return blended(context, stages, floor, joins=True, grown=grown)


def _larger(context: Context, base: Array | None) -> list[Trained]:
    """The final stages, with the views of the best trial."""
    base = None if base is None else base[: context.lanes(_lanes(context))]
    best = _best_views(context, base)
    epochs = VISITS if len(context.frame) <= SMALL else MORE_VISITS
    epochs = int(np.clip(epochs // len(context.frame), 20, LONG))
    limited, jobs = context.resources.end is not None, context.resources.parallel
    shapes = [Shape(best.shape.views, LARGER, activation) for activation in ("relu", "silu")]
    shares = ((0.7, 0.7) if jobs else (0.35, 0.55)) if limited else (1.0, 1.0)

    lanes, rates = _lanes(context), (best.rate, None)
    tasks: list[Task] = [
        partial(trained, shape=shape, lanes=lanes, epochs=epochs, number=number, base=base, rate=rate, time=share)
        for number, (shape, rate, share) in enumerate(zip(shapes, rates, shares, strict=True), 1)
    ]
    return _together(context, tasks)


def _together(context: Context, tasks: list[Task]) -> list[Trained]:
    """Stages that do not depend on one another, at once where more than one job may run. One after the other, none is
    begun when the time is over, except the first."""
    if not context.resources.parallel:
        return [task(context) for number, task in enumerate(tasks) if not number or context.resources.allows(SOON)]
    history = context.history.elsewhere()
    own = replace(context, watch=_unwatched, history=history, resources=context.resources.alone)
    found = context.resources.each([partial(_logged, task, own) for task in tasks])
    for _, log, noted in found:
        context.history.joined(noted)
        log.replay(context.watch)
    return [stage for stage, _, _ in found]


def _logged(task: Task, context: Context) -> tuple[Trained, Log, History]:
    log, history = Log(), context.history.elsewhere()
    return task(replace(context, watch=log.watch, history=history)), log, history


def _unwatched(shape: Shape, now: Training) -> None:
    """Tells no one."""


def _lanes(context: Context) -> int:
    return LANES if len(context.frame) <= SMALL else FEWER


def _best_views(context: Context, base: Array | None) -> Trained:
    """One lane per combination of views, trained to the end of a short schedule at one rate; the best one."""
    base = None if base is None else base[:1]
    epochs = int(np.clip(TRIAL_VISITS // len(context.frame), 4, TRIED))
    shapes = [Shape(views, LARGER, "relu") for views in views_worth_trying(context.encoder)]
    first = trained(context, shapes[0], 1, epochs, 3, base, time=0.08)
    tasks: list[Task] = [
        partial(trained, shape=shape, lanes=1, epochs=epochs, number=number, base=base, rate=first.rate, time=0.08)
        for number, shape in enumerate(shapes[1:], 4)
    ]
    others = _together(context, tasks) if context.resources.allows(SOON) else []
    return min([first, *others], key=lambda stage: stage.cost(context))


def _floor(context: Context, lanes: int) -> Trained | None:
    return None if context.few(context.lanes(lanes)) else linear(context, lanes)


def _first(context: Context, floor: Trained | None) -> list[Trained]:
    """The small stage; where columns have long tails, another one that learns the errors of the linear stage."""
    plain = trained(context, FIRST, LANES, None, time=0.25)
    knots = context.encoder.numeric.knots
    if floor is None or not isinstance(context.loss, Squares) or np.abs(knots).max(initial=0.0) <= TAIL:
        return [plain]
    return [plain, trained(context, FIRST, LANES, None, base=everywhere(floor, context), time=0.25)]


def _affordable(context: Context, shape: Shape) -> tuple[int, int]:
    """Lanes and epochs of a stage whose shape the user chose, within the budget."""
    work = work_of(context, shape) * len(context.frame)  # of one lane in one epoch
    lanes = int(np.clip(WORK / (20 * work), 1, 8))
    return lanes, int(np.clip(WORK / (work * lanes), 10, 100))


def _continued(context: Context, before: tuple[Stage, ...]) -> Grown:
    """The stages of a fitted model, trained further."""
    nets = [stage for stage in before if stage.trainable]
    floor = _floor(context, len(before[0].flat))
    base = everywhere(floor, context) if floor and any(stage.onto for stage in nets) else None
    stages = [
        trained(context, one.shape, len(one.flat), 40, number, base if one.onto else None, one.flat)
        for number, one in enumerate(nets)
    ]
    grown = None
    if any(one.trees is not None for one in before):
        nets = blended(context, stages, None, joins=False)
        grown = boosted(context, len(before[0].flat), nets.held, nets.answers)
    return blended(context, stages, floor, joins=any(one.linear for one in before), grown=grown)
