"""The ensemble, grown for as long as growing pays.

The first crew is small and quick: many tables need no more, and it takes a moment. Then trials ask whether a larger
network, or other views of the columns, would end clearly lower on the same held-out rows; only then is a larger crew
trained, and after it one that sees and bends the world differently. What every crew adds is measured on rows that its
lanes did not train on, and the blend takes of each what lowers that loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from unstuck.tabular.fit.batches import InMemory, Rows, Split, folds, holdout
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.history import Diary
from unstuck.tabular.fit.loss import Loss, Squares
from unstuck.tabular.fit.network import Dense, with_one
from unstuck.tabular.fit.sweep import Trial, sweep
from unstuck.tabular.fit.train import Plan, Shape, Training, answers, train

Array = np.ndarray
PLAIN, RANKED, STEPPED = ("smooth",), ("smooth", "normal"), ("smooth", "steps")
FIRST = Shape(PLAIN, (32,), "relu")
LARGER = (64, 64)
TRIED = 40
"""Epochs after which views are compared."""
LONG = (4, 100)
"""Lanes and epochs of the crews that follow."""
CLEAR = 2.0
"""A difference counts from this many of its standard errors on."""
WORTH = 0.01
"""... and from this share of the loss of the best constant answer on: less would not be noticed."""
LEFT = 0.1
"""Of the loss of the best constant answer, what may be left unexplained before a larger network is tried anyway."""
WORK = 4e12
"""Floating-point operations that a training may take where nobody says otherwise: about a minute of one core."""
SMALL = 5000
"""Up to so many rows everything is tried: it takes a moment."""
BROAD = 100_000
"""From so many rows on a part of them tells which views are worth having, and one crew follows."""
VISITS = 8_000_000
"""Rows that a lane is trained on, at most."""
NARROW = 40
"""Up to so many varying columns every view of them is tried."""
SHARES = np.linspace(0, 1, 11)
DRAWN = 8.0
"""Nats that all or nothing costs instead of an even share."""
FOLDED = 20_000
"""Up to so many rows every lane is judged by rows of its own, so that together they learn from all."""


@dataclass(frozen=True, eq=False)
class Crew:
    """A trained crew: its lanes' weights and its share of the blend."""

    shape: Shape
    flat: Array
    weight: float

    def answers(self, x: Array, loss: Loss) -> Array:
        """The mean of the lanes' answers for x (n, inputs + 1), whose last column is 1: (n, outputs)."""
        net = Dense(
            (x.shape[1] - 1, *self.shape.hidden, loss.outputs), len(self.flat), self.shape.activation, np.float64
        )
        net.flat[:] = self.flat  # wider than in training: a row's answer is then the same, whichever rows are beside it
        return answers(net, x, loss).mean(axis=0, dtype=np.float64).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Ground:
    """What all crews stand on: the training rows in their canonical order, and the wishes."""

    encoder: Encoder
    frame: Frame
    y: Array
    """Encoded targets."""
    w: Array | None
    strata: Array
    loss: Loss
    wishes: Wishes
    watch: Callable[[Shape, Training], None]
    history: Diary

    def some(self, rows: int) -> Ground:
        """The first rows alone: their canonical order is none that the data knows."""
        index, w = np.arange(min(rows, len(self.frame))), None if self.w is None else self.w[:rows]
        return replace(self, frame=self.frame.take(index), y=self.y[:rows], w=w, strata=self.strata[:rows])

    def rows(self, views: tuple[str, ...]) -> Rows:
        """The rows as networks with these views see them."""
        return Rows(with_one(self.encoder.encode(self.frame, views)), self.y, self.w)

    def split(self, lanes: int) -> Split:
        """Who trains on what; the same for the same number of lanes."""
        rng = np.random.Generator(np.random.Philox(key=[self.wishes.seed, 0xF01D]))
        n = len(self.frame)
        if n < max(FEW, 2 * lanes):
            return Split(np.arange(n)[None], np.arange(n)[None])
        if n <= FOLDED and lanes > 1:
            return folds(self.strata, lanes, rng)
        return holdout(self.strata, max(0.1, min(FOLDED / n, 1) / 4), rng)

    def targets(self, rows: Array) -> tuple[Array, Array | None]:
        """What would have been right for some rows, and their weights."""
        return self.y[rows], None if self.w is None else self.w[rows]

    def cost(self, crew: _Trained) -> float:
        """Mean loss of a crew's answers to rows that it did not train on."""
        return self.loss.cost(crew.answers, *self.targets(crew.held))

    def idle(self) -> float:
        """Mean loss of the best constant answer."""
        return self.loss.idle(self.y, self.w)


@dataclass(frozen=True)
class Wishes:
    """What a person may ask for; None leaves it to the data."""

    hidden: tuple[int, ...] | None = None
    activation: str | None = None
    views: tuple[str, ...] | None = None
    lanes: int | None = None
    batch: int | None = None
    epochs: int | None = None
    rate: float | None = None
    decay: float = 0.02
    seed: int = 0


FEW = 8
"""Below this many rows none is held out."""


@dataclass(frozen=True, eq=False)
class Grown:
    """The ensemble, and its answers for rows that it was not trained on."""

    crews: tuple[Crew, ...]
    held: Array
    """Row numbers (v,)."""
    answers: Array
    """(v, outputs): by lanes that had not seen the row."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Trained:
    shape: Shape
    flat: Array
    held: Array
    answers: Array

    def of(self, rows: Array, ground: Ground) -> tuple[Array, Array]:
        """Its answers for some of the held-out rows, and what would have been right."""
        return self.answers[np.searchsorted(self.held, rows)], ground.y[rows]


def grow(ground: Ground, before: tuple[Crew, ...] = ()) -> Grown:
    """Train crews for as long as another one pays; or train the crews of `before` on, and no others."""
    wishes = ground.wishes
    if before:
        return _blended(ground, [_crew(ground, crew.shape, len(crew.flat), 40, start=crew.flat) for crew in before])
    if wishes.hidden or wishes.activation or wishes.views:
        shape = Shape(wishes.views or PLAIN, wishes.hidden or LARGER, wishes.activation or "relu")
        return _blended(ground, [_crew(ground, shape, *_affordable(ground, shape))])
    first = sweep(ground.rows(PLAIN), ground.split(4), ground.loss, FIRST, wishes.seed)
    crews = [_crew(ground, FIRST, 4, None, first)]
    if not _pays(ground, first, crews[0]):
        return _blended(ground, crews, ("a larger network or other views of the columns would not do better",))
    if len(ground.frame) > BROAD:
        return _blended(ground, [*crews, _crew(ground, _tried(ground), *LONG)])
    tried = [_crew(ground, Shape(views, LARGER, "relu"), 4, TRIED) for views in views_worth_trying(ground.encoder)]
    best = min(tried, key=lambda crew: ground.cost(crew)).shape.views
    crews += tried
    crews.append(_crew(ground, Shape(best, LARGER, "relu"), *LONG))
    crews.append(_crew(ground, Shape(best, LARGER, "silu"), *LONG))
    return _blended(ground, crews)


def _tried(ground: Ground) -> Shape:
    """Of many rows, a part tells which views are worth having."""
    part = ground.some(BROAD // 4)
    shapes = [Shape(views, LARGER, "relu") for views in views_worth_trying(ground.encoder)]
    trials = [sweep(part.rows(s.views), part.split(4), part.loss, s, part.wishes.seed) for s in shapes]
    return min(trials, key=lambda trial: trial.ends.min()).shape


def _affordable(ground: Ground, shape: Shape) -> tuple[int, int]:
    """Lanes and epochs of a crew whose shape was asked for: as many as the work allows."""
    sizes = (ground.encoder.width(shape.views), *shape.hidden, ground.loss.outputs)
    work = 6.0 * Dense.count(sizes) * len(ground.frame)  # of one lane in one epoch
    lanes = int(np.clip(WORK / (20 * work), 1, 8))
    return lanes, int(np.clip(WORK / (work * lanes), 10, 100))


def views_worth_trying(encoder: Encoder) -> list[tuple[str, ...]]:
    """The views of the columns among which trials decide."""
    return [PLAIN, RANKED, STEPPED] if len(encoder.numeric.kept) <= NARROW else [PLAIN]


def _pays(ground: Ground, first: Trial, crew: _Trained) -> bool:
    """Whether trying costs little, or much is unexplained, or a larger network's short trial already ends clearly
    lower than the small crew's whole training."""
    if len(ground.frame) <= SMALL or ground.cost(crew) > LEFT * ground.idle():
        return True
    split, rates = ground.split(4), (first.rate / 2, first.rate)
    shapes = [Shape(views, LARGER, "relu") for views in views_worth_trying(ground.encoder)]
    trials = [sweep(ground.rows(s.views), split, ground.loss, s, ground.wishes.seed, rates) for s in shapes]
    small = ground.loss.each(*crew.of(split.held[0, : trials[0].losses.shape[1]], ground))
    return any(_clearly_lower(trial.losses[trial.best], small, ground.idle()) for trial in trials)


def _clearly_lower(losses: Array, than: Array, idle: float) -> bool:
    gain = than - losses
    mean, error = float(gain.mean()), float(gain.std() / math.sqrt(len(gain)))
    return mean > max(CLEAR * error, WORTH * idle)


def _crew(
    ground: Ground, shape: Shape, lanes: int, epochs: int | None,
    trial: Trial | None = None, start: Array | None = None,
) -> _Trained:  # fmt: skip
    wishes = ground.wishes
    lanes = len(start) if start is not None else min(wishes.lanes or lanes, max(len(ground.frame) // 2, 1))
    rows, split = ground.rows(shape.views), ground.split(lanes)
    rate = wishes.rate or (trial and trial.rate)
    if rate is None:
        rate = sweep(rows, split, ground.loss, shape, wishes.seed, start=None if start is None else start[0]).rate
    m = split.train.shape[1]
    batch = batch_of(wishes, m)
    epochs = wishes.epochs or min(epochs or int(np.clip(400 * batch / m, 4, 60)), max(VISITS // m, 1))
    plan = Plan(shape, lanes, batch, epochs, max(epochs // 4, 3), rate, wishes.decay, wishes.seed)
    key = "-".join([*shape.views, *map(str, shape.hidden), shape.activation, str(lanes), str(epochs)])
    feed = InMemory(rows, split, batch, wishes.seed)
    done = train(
        feed, ground.loss, plan, lambda now: _noted(ground, key, shape, now), ground.history.recall(key), start
    )
    return _Trained(shape, done.best, *_unseen(done, rows, split, ground.loss))


def batch_of(wishes: Wishes, rows: int) -> int:
    """Rows per step, of so many to train on."""
    return min(wishes.batch or 2 ** int(math.log2(max(min(rows / 16, 256), 16))), rows)


def _noted(ground: Ground, key: str, shape: Shape, now: Training) -> None:
    ground.history.note(key, now)
    ground.watch(shape, now)


def _unseen(done: Training, rows: Rows, split: Split, loss: Loss) -> tuple[Array, Array]:
    """Row numbers and answers for them, each from the lanes that were judged by the row."""
    done.net.flat[:] = done.best
    if split.held.shape[0] == 1:
        held = split.held[0]
        return held, answers(done.net, rows.x[held], loss).mean(axis=0)
    out = loss.answers(done.net.forward(rows.x.take(split.held, 0)))
    held = split.held.ravel()
    order = np.argsort(held)
    return held[order], out.reshape(len(held), -1)[order]


def _share(ground: Ground, held: Array, mixed: Array, own: Array, even: float) -> float:
    """What a new crew gets: the share at which the held-out rows cost least, drawn to the even one by a few nats, so
    that among few rows chance does not decide."""
    costs = np.array([ground.loss.cost((1 - a) * mixed + a * own, *ground.targets(held)) for a in SHARES])
    unit = 2 * max(costs.min(), 1e-9) if isinstance(ground.loss, Squares) else 1.0
    return float(SHARES[np.argmin(len(held) * costs / unit + DRAWN * np.square(SHARES - even))])


def _blended(ground: Ground, crews: list[_Trained], notes: tuple[str, ...] = ()) -> Grown:
    """Each crew's share, one after the other: what lowers the loss on rows that the crews did not train on."""
    held = crews[0].held
    for crew in crews[1:]:
        held = np.intersect1d(held, crew.held)
    mixed, shares = crews[0].of(held, ground)[0], [1.0]
    for number, crew in enumerate(crews[1:], 2):
        own = crew.of(held, ground)[0]
        a = _share(ground, held, mixed, own, 1.0 / number)
        mixed, shares = (1 - a) * mixed + a * own, [s * (1 - a) for s in shares] + [a]
    kept = tuple(Crew(c.shape, c.flat, s) for c, s in zip(crews, shares, strict=True) if s > 0)
    return Grown(kept, held, mixed, notes)
