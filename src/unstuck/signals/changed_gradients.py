"""Gradients that a script changes itself between its backward and the step: a replay would take other steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import median

from unstuck.tape.model import Tape, Update

FEWEST = 3
"""Steps whose norms are known on both sides."""
TIMES = 2.0
"""Factor of the norms from which on a step is another one: accumulation over several losses and rounding stay below."""


def changed(tape: Tape) -> str:
    """What the script does to its gradients; "" where nothing shows that, or where it clips them by a known call."""
    if tape.facts.clippings or tape.facts.ranks.merged > 1:
        return ""
    ratios = list(_ratios(tape))
    if len(ratios) < FEWEST or any(1 / TIMES <= r <= TIMES for r in ratios):
        return ""
    return f"the script changes its gradients before the step (their norm is then {median(ratios):.3g} times as large)"


def _ratios(tape: Tape) -> Iterator[float]:
    """Norm of all gradients at a step over that after the backward before it, where one program has all weights."""
    held = {n: {p.name for p in tape.parameters if p.optimizer == n} for n in {u.optimizer for u in tape.updates}}
    for update in tape.updates:
        before = _after_backward(tape, update, held[update.optimizer])
        if before and update.norm and math.isfinite(update.norm):
            yield update.norm / before


def _after_backward(tape: Tape, update: Update, held: set[str]) -> float | None:
    if not 0 < update.after <= len(tape.passes) or update.closure:
        return None
    last = tape.passes[update.after - 1]
    names = tape.programs[last.program].weights()
    if not last.gradient or not held <= set(names):
        return None
    norms = [g for name, g in zip(names, last.gradient, strict=False) if name in held and not math.isnan(g)]
    return math.sqrt(math.fsum(g * g for g in norms)) if norms and all(map(math.isfinite, norms)) else None
