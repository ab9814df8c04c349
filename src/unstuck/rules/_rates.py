"""Shared by the two learning-rate rules: which rate of a sweep is clearly better, and how people write a rate."""

from __future__ import annotations

import math
from collections.abc import Callable

from unstuck.diagnosis.skill import WORTH
from unstuck.signals.sweep import Sweep
from unstuck.tape.model import Tape

LITTLE = 0.5
"""If the run reaches more than this share of the best skill of the sweep, training for longer serves as well: skill
rises ever more slowly, so the second half comes with more of the same steps."""


def better(sweep: Sweep, reached: float, allowed: Callable[[float], bool]) -> float | None:
    """The factor of the best rate, the nearest of tied ones; None if it is hardly better, or not allowed.

    `reached`: the skill of the run itself, which may be longer than the replay.
    """
    written, top = max(sweep.at(1.0), reached), max(sweep.skills)
    if top - written < WORTH or max(written, 0.0) > LITTLE * top:
        return None
    return sweep.best if allowed(sweep.best) else None


def first_rate(tape: Tape) -> float:
    """The learning rate of the first step; 0 if it is not known."""
    return next((u.rates[0] for u in tape.updates if u.rates and math.isfinite(u.rates[0])), 0.0)


def rounded(rate: float) -> float:
    """The rate to one significant digit, as people write it: 0.0316 becomes 0.03."""
    return float(f"{rate:.0e}") if rate > 0 else rate
