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
    context: Context, stages: list[Trained], floor: Trained | None, joins: bool, notes: tuple[str, ...] = ()
) -> Grown:
    """Weigh the stages one after the other, and the linear stage last if it `joins`."""
    held = stages[0].held
    for stage in (*stages[1:], *([floor] if floor else [])):
        held = np.intersect1d(held, stage.held)
    mixed, shares = stages[0].of(held), [1.0]
    for number, stage in enumerate(stages[1:], 2):
        a = share(context.loss, mixed, stage.of(held), *context.targets(held), 1.0 / number)
        mixed, shares = (1 - a) * mixed + a * stage.of(held), [*(one * (1 - a) for one in shares), a]
    own = 0.0
    if floor and joins:
        own = share(context.loss, mixed, floor.of(held), *context.targets(held), 0.0)
        mixed, shares = (1 - own) * mixed + own * floor.of(held), [one * (1 - own) for one in shares]
    own += sum(a for a, stage in zip(shares, stages, strict=True) if stage.base is not None)
    kept = [
        Stage(one.shape, one.flat, a, one.base is not None, one.name)
        for one, a in zip(stages, shares, strict=True)
        if a > 0
    ]
    kept += [_stage(floor, own)] if floor and own > 0 else []
    if floor is None:
        return Grown(tuple(kept), held, mixed, None, None, notes)
    return Grown(tuple(kept), held, mixed, _stage(floor, 1.0), floor.of(held), notes)


def _stage(one: Trained, weight: float) -> Stage:
    return Stage(one.shape, one.flat, weight, False, one.name)


def share(loss: Loss, mixed: Array, own: Array, y: Array, w: Array | None, even: float) -> float:
    """The weight of a new stage with predictions `own` (v, outputs) that minimises the held-out loss, drawn towards
    `even` by a few nats, so that noise does not decide among few rows."""
    costs = np.array([loss.cost((1 - a) * mixed + a * own, y, w) for a in SHARES])
    unit = 2 * max(costs.min(), 1e-9) if isinstance(loss, Squares) else 1.0
    return float(SHARES[np.argmin(len(mixed) * costs / unit + DRAWN * np.square(SHARES - even))])
