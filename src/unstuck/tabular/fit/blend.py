"""Blend stages by the loss on rows that none of them was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.context import Context
from unstuck.tabular.fit.loss import Loss, Squares
from unstuck.tabular.fit.stage import Stage, Trained

Array = np.ndarray
SHARES = np.linspace(0, 1, 11)
DRAWN = 8.0
"""Penalty in nats for a weight of 0 or 1 relative to an equal share."""


@dataclass(frozen=True, eq=False)
class Grown:
    """The ensemble, and its predictions for rows it was not trained on."""

    stages: tuple[Stage, ...]
    held: Array
    """Row numbers (v,)."""
    answers: Array
    """(v, outputs), each by lanes that were not trained on the row."""
    floor: Stage | None = None
    """The linear model that the ensemble is compared with."""
    floor_answers: Array | None = None
    """Its predictions, like `answers`."""
    notes: tuple[str, ...] = ()


def blended(
    context: Context, stages: list[Trained], floor: Trained | None, joins: bool, notes: tuple[str, ...] = (),
    grown: Trained | None = None,
) -> Grown:  # fmt: skip
    """Weigh the stages one after the other, then the boosted stage `grown`, and the linear stage last if it `joins`."""
    last = [one for one in (grown, floor if joins else None) if one is not None]
    held = stages[0].held
    for stage in (*stages[1:], *last, *([floor] if floor else [])):
        held = np.intersect1d(held, stage.held)
    mixed, shares = stages[0].of(held), [1.0]
    evens = [1.0 / number for number in range(2, len(stages) + 1)] + [0.0] * len(last)
    for stage, even in zip((*stages[1:], *last), evens, strict=True):
        a = share(context.loss, mixed, stage.of(held), *context.targets(held), even)
        mixed, shares = (1 - a) * mixed + a * stage.of(held), [*(one * (1 - a) for one in shares), a]
    kept = _kept([*stages, *last], shares, floor)
    if floor is None:
        return Grown(kept, held, mixed, None, None, notes)
    return Grown(kept, held, mixed, floor.weighing(1.0), floor.of(held), notes)


def _kept(stages: list[Trained], shares: list[float], floor: Trained | None) -> tuple[Stage, ...]:
    """The stages with a share. The linear stage, last, has its own and that of all stages that build on it."""
    onto = sum(a for a, stage in zip(shares, stages, strict=True) if stage.base is not None)
    if floor is not None and onto and stages[-1] is not floor:
        stages, shares = [*stages, floor], [*shares, 0.0]
    weights = [a + (onto if stage is floor else 0.0) for a, stage in zip(shares, stages, strict=True)]
    return tuple(stage.weighing(a) for stage, a in zip(stages, weights, strict=True) if a > 0)


def share(loss: Loss, mixed: Array, own: Array, y: Array, w: Array | None, even: float) -> float:
    """The weight of a new stage with predictions `own` (v, outputs) that minimises the held-out loss, drawn towards
    `even` by a few nats, so that noise does not decide among few rows."""
    costs = np.array([loss.cost((1 - a) * mixed + a * own, y, w) for a in SHARES])
    unit = loss.nats(float(costs.min())) if isinstance(loss, Squares) else 1.0
    return float(SHARES[np.argmin(len(mixed) * costs / unit + DRAWN * np.square(SHARES - even))])
