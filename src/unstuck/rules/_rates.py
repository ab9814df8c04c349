"""What the two rules about the learning rate share: which rate of a sweep is clearly better, and how it is written."""

from __future__ import annotations

import math
from collections.abc import Callable

from unstuck.replay.bench import Sweep
from unstuck.tape.model import Tape

LITTLE = 0.5
"""The run as written reaches at most this share of what another rate reaches: less is a matter of patience."""
WORTH = 0.15
"""And at least so much skill lies between the two."""
CLOSE = 0.03
"""Skills that differ by less are the same; of such rates the one nearest to the written one is taken. One amid them
wins in fewer lanes of a run that sometimes holds; where the whole run needs a smaller one, patched scripts find it."""


def better(sweep: Sweep, reached: float, allowed: Callable[[float], bool]) -> float | None:
    """The factor of the clearly better rate nearest to the written one; None where the best of all is not allowed.

    `reached`: the skill of the run itself, which may go on for longer than a replay.
    """
    skills = dict(zip(sweep.factors, sweep.skills, strict=True))
    written, top = max(skills[1.0], reached), max(sweep.skills)
    if top - written < WORTH or max(written, 0.0) > LITTLE * top:
        return None
    factor = min((f for f in skills if skills[f] >= top - CLOSE), key=lambda f: abs(math.log(f)))
    return factor if allowed(factor) else None


def first_rate(tape: Tape) -> float:
    """The first rate that was stepped with."""
    return next((u.rates[0] for u in tape.updates if u.rates and math.isfinite(u.rates[0])), 0.0)


def rounded(rate: float) -> float:
    """To one digit, as people write rates: 0.0316 is 0.03."""
    return float(f"{rate:.0e}") if rate > 0 else rate
