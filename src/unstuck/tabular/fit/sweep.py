"""The learning rate, found by trying sixteen: one start, the same batches, sixteen lanes trained at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, count, islice

import numpy as np

from unstuck.tabular.fit.adam import AdamW
from unstuck.tabular.fit.batches import InMemory, Rows, Split
from unstuck.tabular.fit.loss import Loss
from unstuck.tabular.fit.network import Dense
from unstuck.tabular.fit.train import Shape, advance, schedule

Array = np.ndarray
RATES = tuple(float(rate) for rate in np.geomspace(3e-4, 0.1, 16))
STEPS = 120
LARGE = 100_000
"""Parameters from which on half the steps must do."""
BATCH = 64
"""Small batches: a trial is to be short, and the rates that fit barely depend on the batch up to some hundred rows."""
TRIAL = 1 << 32
"""Added to the seed: trials see the rows in an order of their own."""
ENOUGH = 2048
"""Held-out rows that decide."""


@dataclass(frozen=True)
class Trial:
    """How short trainings ended: the losses of held-out rows at each rate, (rates, v)."""

    shape: Shape
    rates: tuple[float, ...]
    losses: Array
    w: Array | None = None
    """The rows' weights, (v,); None for all equal."""

    @property
    def ends(self) -> Array:
        """Mean loss per rate; infinite where a training blew up."""
        return np.nan_to_num(np.average(self.losses, axis=1, weights=self.w), nan=np.inf, posinf=np.inf)

    @property
    def best(self) -> int:
        """Which rate ended lowest."""
        return int(self.ends.argmin())

    @property
    def rate(self) -> float:
        """The rate that ended lowest."""
        return self.rates[self.best]


def sweep(
    rows: Rows, split: Split, loss: Loss, shape: Shape, seed: int,
    rates: tuple[float, ...] = RATES, start: Array | None = None,
) -> Trial:  # fmt: skip
    """Train `rates` lanes from one start for a few annealed steps on the first lane's rows; `start`: from these
    weights, (parameters,)."""
    net = Dense((rows.x.shape[1] - 1, *shape.hidden, loss.outputs), len(rates), shape.activation)
    net.draw([seed * 1000] * len(rates))
    if start is not None:
        net.flat[:] = start
    adam = AdamW(net.flat.shape)
    one, column = Split(split.train[:1], split.held[:1, :ENOUGH]), np.array(rates, np.float32)[:, None]
    batches = InMemory(rows, one, min(BATCH, one.train.shape[1]), TRIAL + seed)
    steps = STEPS if net.parameters < LARGE else STEPS // 2
    parts = chain.from_iterable(batches.epoch(number) for number in count())
    with np.errstate(over="ignore", invalid="ignore"):  # the largest rates are there to fail
        for step, part in enumerate(islice(parts, steps)):
            advance(net, adam, loss, part, column * np.float32(schedule(step / steps)))
        held = batches.held()
        losses = loss.losses(net.forward(held.x), held.y)
    return Trial(shape, rates, losses, None if held.w is None else held.w[0])
