"""Shared by the two learning-rate rules: which rate of a sweep is better, how it is written, and where it is made."""

from __future__ import annotations

from collections.abc import Callable

from unstuck.diagnosis.skill import WORTH
from unstuck.remedies.set_rate import SetRate, built_rates, first_rates
from unstuck.remedies.use_adam import PLAIN, UseAdam
from unstuck.rules._places import optimizer_site
from unstuck.signals.source import Origin, Site, started
from unstuck.signals.sweep import Sweep
from unstuck.source.text import Splice
from unstuck.tape.model import Tape

LITTLE = 0.5
"""If the run reaches more than this share of the best skill of the sweep, training for longer serves as well: skill
rises ever more slowly, so the second half comes with more of the same steps."""

ADAM = 1e-3
"""The rate that Adam's authors propose, and torch's default."""


def better(sweep: Sweep, reached: float, allowed: Callable[[float], bool]) -> float | None:
    """The factor of the best rate, the nearest of tied ones; None if it is hardly better, or not allowed.

    `reached`: the skill of the run itself, which may be longer than the replay.
    """
    written, top = max(sweep.at(1.0), reached), max(sweep.skills)
    if top - written < WORTH or max(written, 0.0) > LITTLE * top:
        return None
    return sweep.best if allowed(sweep.best) else None


def first_rate(tape: Tape) -> float:
    """The learning rate of the first group as the optimizer was built, else of the first step; 0 if not known."""
    built = built_rates(tape, first_optimizer(tape))
    return built[0] if built else next(iter(first_rates(tape)), 0.0)


def first_optimizer(tape: Tape) -> int:
    """The number of the optimizer that steps first."""
    return next((u.optimizer for u in tape.updates), 0)


def set_rate(tape: Tape, factor: float) -> tuple[SetRate, str]:
    """The remedy that multiplies the rate, and where the rate is made, in parentheses ("" if right there)."""
    number = first_optimizer(tape)
    site, built = optimizer_site(tape, number), built_rates(tape, number)
    written = first_rate(tape)
    remedy = SetRate(factor, written * factor, tape.optimizers[number].made if tape.optimizers else None, built)
    return remedy, elsewhere(remedy.made(started(tape)), site)


def use_adam(tape: Tape) -> UseAdam | None:
    """The remedy that trains with Adam; None where not one optimizer makes plain steps along the gradient."""
    number, written = first_optimizer(tape), first_rate(tape)
    one = len({u.optimizer for u in tape.updates}) == 1 and len(tape.optimizers) == 1
    if not one or not written or tape.optimizers[number].kind not in PLAIN or any(u.closure for u in tape.updates):
        return None
    return UseAdam(set_rate(tape, ADAM / written)[0], number)


def rate_site(tape: Tape, remedy: SetRate) -> Site | None:
    """The construction of the first optimizer; where a framework built it unseen, the line that holds its rate."""
    found = optimizer_site(tape, first_optimizer(tape))
    if found is not None:
        return found
    sources = started(tape)
    origin = remedy.made(sources)
    if origin is None or not isinstance(origin.place, Splice) or not origin.place.file.endswith(".py"):
        return None
    text = sources.files[origin.place.file]
    return Site(origin.place.file, text.count("\n", 0, origin.place.start) + 1)


def elsewhere(origin: Origin | None, site: Site | None) -> str:
    """Where a number is made, in parentheses: "" where that is the line of the finding itself."""
    if origin is None or (site is not None and origin.said == f"{site.file}:{site.line}"):
        return ""
    return f" (from {origin.said})"


def rounded(rate: float) -> float:
    """The rate to one significant digit, as people write it: 0.0316 becomes 0.03."""
    return float(f"{rate:.0e}") if rate > 0 else rate
