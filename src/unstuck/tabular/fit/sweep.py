"""Find the learning rate: sixteen lanes train at once, from the same weights on the same batches."""

from __future__ import annotations

import time
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
"""With this many parameters, half the steps are used."""
BATCH = 64
"""Small batches keep trials short, and the best rate barely depends on the batch size up to some hundred rows."""
TRIAL = 1 << 32
"""Added to the seed: trials use their own order of the rows."""
ENOUGH = 2048
"""Maximum number of held-out rows for the comparison."""


@dataclass(frozen=True)
class Trial:
    """The end of short trainings: the losses of the held-out rows at each rate, (rates, v)."""

    shape: Shape
    rates: tuple[float, ...]
    losses: Array
    w: Array | None = None
    """The rows' weights, (v,); None if all are equal."""

    @property
    def ends(self) -> Array:
        """Mean loss per rate; infinite if the training diverged."""
        return np.nan_to_num(np.average(self.losses, axis=1, weights=self.w), nan=np.inf, posinf=np.inf)

    @property
    def best(self) -> int:
        """The index of the best rate."""
        return int(self.ends.argmin())

    @property
    def rate(self) -> float:
        """The rate with the lowest loss."""
        return self.rates[self.best]


def sweep(
    rows: Rows, split: Split, loss: Loss, shape: Shape, seed: int,
    rates: tuple[float, ...] = RATES, start: Array | None = None, base: Array | None = None, until: float | None = None,
) -> Trial:  # fmt: skip
    """Train one lane per rate from the same weights for a few annealed steps on the first lane's rows; `start`: the
    initial weights, (parameters,); `base`: as in `InMemory`; `until`: when to end at the latest, on the clock
    `time.monotonic`."""
    net = Dense((rows.x.shape[1] - 1, *shape.hidden, loss.outputs), len(rates), shape.activation)
    net.draw([seed * 1000] * len(rates))
    if start is not None:
        net.flat[:] = start
    adam = AdamW(net.flat.shape)
    one, column = Split(split.train[:1], split.held[:1, :ENOUGH]), np.array(rates, np.float32)[:, None]
    batches = InMemory(rows, one, min(BATCH, one.train.shape[1]), TRIAL + seed, None if base is None else base[:1])
    steps = STEPS if net.parameters < LARGE else STEPS // 2
    parts = chain.from_iterable(batches.epoch(number) for number in count())
    with np.errstate(over="ignore", invalid="ignore"):  # the largest rates are expected to diverge
        for step, part in enumerate(islice(parts, steps)):
            if until is not None and step and time.monotonic() >= until:
                break
            advance(net, adam, loss, part, column * np.float32(schedule(step / steps)))
        held = batches.held()
        losses = loss.losses(net.forward(held.x), held.y)
    return Trial(shape, rates, losses, None if held.w is None else held.w[0])
