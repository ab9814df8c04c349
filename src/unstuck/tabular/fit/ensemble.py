"""The ensemble: stages of networks, added while they lower the held-out loss.

The first stage is small and fast; many tables need no more. Short trials then decide whether a larger network or other
views of the columns would end clearly lower on the same held-out rows; only then are larger stages trained, with other
views and activations. Every stage is evaluated on rows that its lanes did not train on, and its weight in the blend is
the one that lowers that loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from unstuck.tabular.fit.batches import InMemory, Rows, Split, folds, holdout
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.history import History
from unstuck.tabular.fit.loss import Loss, Squares
from unstuck.tabular.fit.network import Dense, with_one
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.sweep import Trial, sweep
from unstuck.tabular.fit.train import Plan, Shape, Training, answers, train

Array = np.ndarray
PLAIN, RANKED, STEPPED = ("smooth",), ("smooth", "normal"), ("smooth", "steps")
FIRST = Shape(PLAIN, (32,), "relu")
LARGER = (64, 64)
TRIED = 40
"""Epochs of the stages that compare views."""
LONG = (4, 100)
"""Lanes and epochs of the final stages."""
CLEAR = 2.0
"""A difference counts from this many standard errors on ..."""
WORTH = 0.01
"""... and from this share of the baseline loss on: less is not worth a larger network."""
LEFT = 0.1
"""A larger network is tried anyway if this share of the baseline loss is still unexplained."""
WORK = 4e12
"""Default budget of a training in floating-point operations: about a minute of one core."""
SMALL = 5000
"""Up to this many rows everything is tried: it takes seconds."""
BROAD = 100_000
"""Above this many rows, a sample decides the views, and only one more stage is trained."""
VISITS = 8_000_000
"""Maximum number of rows a lane is trained on, over all epochs."""
NARROW = 40
"""Up to this many varying columns, all views are tried."""
SHARES = np.linspace(0, 1, 11)
DRAWN = 8.0
"""Penalty in nats for a weight of 0 or 1 relative to an equal share."""
FOLDED = 20_000
"""Up to this many rows each lane has its own held-out rows (cross-validation), so that the lanes together use all."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One trained stage: the weights of its lanes and its share of the blend."""

    shape: Shape
    flat: Array
    weight: float

    def answers(self, x: Array, loss: Loss) -> Array:
        """The mean of the lanes' predictions for x (n, inputs + 1), whose last column is 1: (n, outputs)."""
        net = Dense(
            (x.shape[1] - 1, *self.shape.hidden, loss.outputs), len(self.flat), self.shape.activation, np.float64
        )
        net.flat[:] = self.flat  # float64: the prediction for a row then does not depend on the other rows of the batch
        return answers(net, x, loss).mean(axis=0, dtype=np.float64).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Context:
    """What all stages share: the training rows in canonical order, and the options."""

    encoder: Encoder
    frame: Frame
    y: Array
    """Encoded targets."""
    w: Array | None
    strata: Array
    loss: Loss
    options: Options
    watch: Callable[[Shape, Training], None]
    history: History

    def some(self, rows: int) -> Context:
        """The first rows: a random sample, because the canonical order is independent of the data."""
        index, w = np.arange(min(rows, len(self.frame))), None if self.w is None else self.w[:rows]
        return replace(self, frame=self.frame.take(index), y=self.y[:rows], w=w, strata=self.strata[:rows])

    def rows(self, views: tuple[str, ...]) -> Rows:
        """The rows as a network with these views receives them."""
        return Rows(with_one(self.encoder.encode(self.frame, views)), self.y, self.w)

    def split(self, lanes: int) -> Split:
        """Training and held-out rows of each lane; the same for the same number of lanes."""
        rng = np.random.Generator(np.random.Philox(key=[self.options.seed, 0xF01D]))
        n = len(self.frame)
        if n < max(FEW, 2 * lanes):
            return Split(np.arange(n)[None], np.arange(n)[None])
        if n <= FOLDED and lanes > 1:
            return folds(self.strata, lanes, rng)
        return holdout(self.strata, max(0.1, min(FOLDED / n, 1) / 4), rng)

    def targets(self, rows: Array) -> tuple[Array, Array | None]:
        """Targets and weights of some rows."""
        return self.y[rows], None if self.w is None else self.w[rows]

    def cost(self, stage: _Trained) -> float:
        """Mean loss of a stage on its held-out rows."""
        return self.loss.cost(stage.answers, *self.targets(stage.held))

    def baseline(self) -> float:
        """Mean loss of the best constant prediction."""
        return self.loss.baseline(self.y, self.w)


FEW = 8
"""With fewer rows, none are held out."""


@dataclass(frozen=True, eq=False)
class Grown:
    """The ensemble, and its predictions for rows it was not trained on."""

    stages: tuple[Stage, ...]
    held: Array
    """Row numbers (v,)."""
    answers: Array
    """(v, outputs), each by lanes that were not trained on the row."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Trained:
    shape: Shape
    flat: Array
    held: Array
    answers: Array

    def of(self, rows: Array, context: Context) -> tuple[Array, Array]:
        """Its predictions for some of the held-out rows, and their targets."""
        return self.answers[np.searchsorted(self.held, rows)], context.y[rows]


def grow(context: Context, before: tuple[Stage, ...] = ()) -> Grown:
    """Train stages while another one is worthwhile; or continue the stages of `before`, and train no others."""
    options = context.options
    if before:
        return _blended(context, [_stage(context, one.shape, len(one.flat), 40, start=one.flat) for one in before])
    if options.hidden or options.activation or options.views:
        shape = Shape(options.views or PLAIN, options.hidden or LARGER, options.activation or "relu")
        return _blended(context, [_stage(context, shape, *_affordable(context, shape))])
    first = sweep(context.rows(PLAIN), context.split(4), context.loss, FIRST, options.seed)
    stages = [_stage(context, FIRST, 4, None, first)]
    if not _pays(context, first, stages[0]):
        return _blended(context, stages, ("a larger network or other views of the columns would not do better",))
    if len(context.frame) > BROAD:
        return _blended(context, [*stages, _stage(context, _tried(context), *LONG)])
    tried = [_stage(context, Shape(views, LARGER, "relu"), 4, TRIED) for views in views_worth_trying(context.encoder)]
    best = min(tried, key=lambda stage: context.cost(stage)).shape.views
    stages += tried
    stages.append(_stage(context, Shape(best, LARGER, "relu"), *LONG))
    stages.append(_stage(context, Shape(best, LARGER, "silu"), *LONG))
    return _blended(context, stages)


def _tried(context: Context) -> Shape:
    """The best shape for a large table, found on a sample."""
    part = context.some(BROAD // 4)
    shapes = [Shape(views, LARGER, "relu") for views in views_worth_trying(context.encoder)]
    trials = [sweep(part.rows(s.views), part.split(4), part.loss, s, part.options.seed) for s in shapes]
    return min(trials, key=lambda trial: trial.ends.min()).shape


def _affordable(context: Context, shape: Shape) -> tuple[int, int]:
    """Lanes and epochs of a stage whose shape the user chose, within the budget."""
    sizes = (context.encoder.width(shape.views), *shape.hidden, context.loss.outputs)
    work = 6.0 * Dense.count(sizes) * len(context.frame)  # of one lane in one epoch
    lanes = int(np.clip(WORK / (20 * work), 1, 8))
    return lanes, int(np.clip(WORK / (work * lanes), 10, 100))


def views_worth_trying(encoder: Encoder) -> list[tuple[str, ...]]:
    """The views of the columns that the trials compare."""
    return [PLAIN, RANKED, STEPPED] if len(encoder.numeric.kept) <= NARROW else [PLAIN]


def _pays(context: Context, first: Trial, stage: _Trained) -> bool:
    """Whether to go on: if it is cheap, if much is unexplained, or if a short trial of a larger network already ends
    clearly below the whole training of the small stage."""
    if len(context.frame) <= SMALL or context.cost(stage) > LEFT * context.baseline():
        return True
    split, rates = context.split(4), (first.rate / 2, first.rate)
    shapes = [Shape(views, LARGER, "relu") for views in views_worth_trying(context.encoder)]
    trials = [sweep(context.rows(s.views), split, context.loss, s, context.options.seed, rates) for s in shapes]
    small = context.loss.each(*stage.of(split.held[0, : trials[0].losses.shape[1]], context))
    return any(_clearly_lower(trial.losses[trial.best], small, context.baseline()) for trial in trials)


def _clearly_lower(losses: Array, than: Array, baseline: float) -> bool:
    gain = than - losses
    mean, error = float(gain.mean()), float(gain.std() / math.sqrt(len(gain)))
    return mean > max(CLEAR * error, WORTH * baseline)


def _stage(
    context: Context, shape: Shape, lanes: int, epochs: int | None,
    trial: Trial | None = None, start: Array | None = None,
) -> _Trained:  # fmt: skip
    options = context.options
    lanes = len(start) if start is not None else min(options.lanes or lanes, max(len(context.frame) // 2, 1))
    rows, split = context.rows(shape.views), context.split(lanes)
    rate = options.rate or (trial and trial.rate)
    if rate is None:
        rate = sweep(rows, split, context.loss, shape, options.seed, start=None if start is None else start[0]).rate
    m = split.train.shape[1]
    batch = batch_of(options, m)
    epochs = options.epochs or min(epochs or int(np.clip(400 * batch / m, 4, 60)), max(VISITS // m, 1))
    plan = Plan(shape, lanes, batch, epochs, max(epochs // 4, 3), rate, options.decay, options.seed)
    key = "-".join([*shape.views, *map(str, shape.hidden), shape.activation, str(lanes), str(epochs)])
    batches = InMemory(rows, split, batch, options.seed)
    done = train(
        batches, context.loss, plan, lambda now: _noted(context, key, shape, now), context.history.recall(key), start
    )
    return _Trained(shape, done.best, *_unseen(done, rows, split, context.loss))


def batch_of(options: Options, rows: int) -> int:
    """The batch size for this many training rows."""
    return min(options.batch or 2 ** int(math.log2(max(min(rows / 16, 256), 16))), rows)


def _noted(context: Context, key: str, shape: Shape, now: Training) -> None:
    context.history.note(key, now)
    context.watch(shape, now)


def _unseen(done: Training, rows: Rows, split: Split, loss: Loss) -> tuple[Array, Array]:
    """Row numbers and predictions for them, each from the lanes that held the row out."""
    done.net.flat[:] = done.best
    if split.held.shape[0] == 1:
        held = split.held[0]
        return held, answers(done.net, rows.x[held], loss).mean(axis=0)
    out = loss.answers(done.net.forward(rows.x.take(split.held, 0)))
    held = split.held.ravel()
    order = np.argsort(held)
    return held[order], out.reshape(len(held), -1)[order]


def _share(context: Context, held: Array, mixed: Array, own: Array, even: float) -> float:
    """The weight of a new stage that minimises the held-out loss, drawn towards an equal share by a few nats, so that
    noise does not decide among few rows."""
    costs = np.array([context.loss.cost((1 - a) * mixed + a * own, *context.targets(held)) for a in SHARES])
    unit = 2 * max(costs.min(), 1e-9) if isinstance(context.loss, Squares) else 1.0
    return float(SHARES[np.argmin(len(held) * costs / unit + DRAWN * np.square(SHARES - even))])


def _blended(context: Context, stages: list[_Trained], notes: tuple[str, ...] = ()) -> Grown:
    """Weigh the stages one after the other, by the loss on rows that none of them trained on."""
    held = stages[0].held
    for stage in stages[1:]:
        held = np.intersect1d(held, stage.held)
    mixed, shares = stages[0].of(held, context)[0], [1.0]
    for number, stage in enumerate(stages[1:], 2):
        own = stage.of(held, context)[0]
        a = _share(context, held, mixed, own, 1.0 / number)
        mixed, shares = (1 - a) * mixed + a * own, [s * (1 - a) for s in shares] + [a]
    kept = tuple(Stage(c.shape, c.flat, s) for c, s in zip(stages, shares, strict=True) if s > 0)
    return Grown(kept, held, mixed, notes)
