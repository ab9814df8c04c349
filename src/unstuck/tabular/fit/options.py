"""The options of a fit, and their validation for the estimators."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from unstuck.tabular.fit.activation import ACTIVATIONS
from unstuck.tabular.fit.resources import Resources


@dataclass(frozen=True)
class Options:
    """What the user may choose; None: chosen from the data."""

    hidden: tuple[int, ...] | None = None
    activation: str | None = None
    views: tuple[str, ...] | None = None
    lanes: int | None = None
    batch: int | None = None
    epochs: int | None = None
    rate: float | None = None
    decay: float = 0.02
    seed: int = 0


WHOLE = ("lanes", "epochs", "batch_size")


def options_of(estimator: Any, seed: int) -> Options:
    """The options of an estimator. Raises ValueError for an invalid parameter."""
    for name in WHOLE:
        value = getattr(estimator, name)
        if value is not None and not _whole(value):
            raise ValueError(f"{name} must be a whole number from 1 on, or None, not {value!r}")
    rate, decay = _real(estimator.learning_rate), _real(estimator.weight_decay)
    if estimator.learning_rate is not None and not 0 < rate < math.inf:
        raise ValueError(f"learning_rate must be a number above 0, or None, not {estimator.learning_rate!r}")
    if not 0 <= decay < math.inf:
        raise ValueError(f"weight_decay must be a number from 0 on, not {estimator.weight_decay!r}")
    if estimator.activation not in (None, *ACTIVATIONS):
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, or None, not {estimator.activation!r}")
    return Options(
        hidden=_hidden(estimator.hidden),
        activation=estimator.activation,
        lanes=estimator.lanes,
        batch=estimator.batch_size,
        epochs=estimator.epochs,
        rate=None if estimator.learning_rate is None else rate,
        decay=decay,
        seed=seed,
    )


def resources_of(estimator: Any) -> Resources:
    """The resources of an estimator, from now on. Raises ValueError for an invalid parameter."""
    seconds, jobs = estimator.time_limit, estimator.n_jobs
    if seconds is not None and not 0 < _real(seconds) < math.inf:
        raise ValueError(f"time_limit must be a number of seconds above 0, or None, not {seconds!r}")
    if jobs is not None and (not isinstance(jobs, Integral) or isinstance(jobs, bool) or jobs == 0):
        raise ValueError(f"n_jobs must be a whole number other than 0, or None, not {jobs!r}")
    if seconds is not None and estimator.module is not None:
        raise ValueError("time_limit cannot be combined with a module: use epochs")
    return Resources.of(None if seconds is None else float(seconds), None if jobs is None else int(jobs))


def _hidden(hidden: Any) -> tuple[int, ...] | None:
    if hidden is None:
        return None
    sizes = (hidden,) if isinstance(hidden, Integral) else hidden
    if not isinstance(sizes, tuple | list) or not sizes or not all(map(_whole, sizes)):
        raise ValueError(f"hidden must be a number of units, a tuple of such numbers, or None, not {hidden!r}")
    return tuple(map(int, sizes))


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def _real(value: Any) -> float:
    """The value as a float; NaN, which fails every range check, if it is not a number."""
    return float(value) if isinstance(value, Real) else math.nan
