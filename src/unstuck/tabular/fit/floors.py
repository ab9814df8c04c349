"""Compare a fit with the simplest models: a constant, and a linear model."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from unstuck.tabular.fit.context import Context
from unstuck.tabular.fit.loss import Loss, Squares

Array = np.ndarray
CLEAR = 2.0
"""A difference counts from this many standard errors on."""


def compared(context: Context, held: Array, answers: Array, floor: Array | None) -> Iterator[str]:
    """Notes where predictions (v, outputs) for held-out rows are not better than those of a simple model. `floor`:
    those of the linear model; None if no rows were held out."""
    if floor is None:
        return
    loss, (y, w) = context.loss, context.targets(held)
    constant = np.broadcast_to(mean_of(loss, context.y, context.w), answers.shape)
    if not _better(loss, answers, constant, y, w):
        yield f"not clearly better than a constant prediction on held-out rows: {_both(loss, answers, constant, y, w)}"
    elif not _better(loss, answers, floor, y, w):
        yield f"not clearly better than a linear model on held-out rows: {_both(loss, answers, floor, y, w)}"


def mean_of(loss: Loss, y: Array, w: Array | None) -> Array:
    """The best constant prediction, (outputs,)."""
    if y.ndim == 1:
        shares = np.bincount(y, weights=w, minlength=loss.outputs)
        return shares / shares.sum()
    return loss.constant(y, w) if isinstance(loss, Squares) else np.average(y, axis=0, weights=w)


def _better(loss: Loss, answers: Array, than: Array, y: Array, w: Array | None) -> bool:
    gain = loss.each(than, y) - loss.each(answers, y)
    share = np.ones(len(gain)) if w is None else w / w.mean()
    mean = float(np.average(gain, weights=share))
    return mean > CLEAR * math.sqrt(float(np.mean(np.square(share * (gain - mean)))) / len(gain))


def _both(loss: Loss, answers: Array, than: Array, y: Array, w: Array | None) -> str:
    """The two losses; for numbers, their R2."""
    own, other = loss.cost(answers, y, w), loss.cost(than, y, w)
    if type(loss) is not Squares:
        return f"loss {own:.4g} against {other:.4g}"
    usual = loss.baseline(y, w)
    return f"R2 {1 - own / usual:.4g} against {1 - other / usual:.4g}" if usual > 0 else "the target is constant there"
