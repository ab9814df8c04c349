"""Which optimizer of torch makes the same updates as the script's own code: found from weights and gradients.

Descent, with momentum and weight decay, is linear in what is known before a step, so that its numbers come out of a
least-squares fit. The methods that scale each gradient by its past (Adam, RMSprop) are tried with the usual constants.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor

EXACT = 1e-3
"""An update is what a rule says if it differs from it by less than this share."""
CLOSE = 0.03
"""The same for rules with moments, whose constants a schedule may change from step to step (one-cycle moves the first
from 0.95 to 0.85): 1 % is left after four steps of it, where a neighbouring constant leaves 3 %."""
FEWEST = 3
"""Steps from which momentum can be told from a rate."""
BETAS = (0.9, 0.95, 0.5, 0.0), (0.999, 0.99, 0.98, 0.95, 0.9)
"""Decay of the first and the second moment, as in publications and libraries."""
EPSILONS = (1e-8, 1e-7, 1e-6, 1e-5)
TINY = 1e-4
"""A momentum, or a decay in units of the rate, below this is none."""


class Step(NamedTuple):
    """One update: the weights before, how far they went (before minus after), and the gradient, as vectors."""

    weight: Tensor
    gone: Tensor
    gradient: Tensor


class Rule(NamedTuple):
    """A class of torch.optim with its options, and its learning rate at each step."""

    name: str
    options: dict[str, Any]
    rates: tuple[float, ...]


def rule_of(steps: list[Step]) -> Rule | None:
    """The rule of consecutive updates from the first on; None where none of those known explains them all."""
    steps = [s for s in steps if len(s.gone)]
    if not steps or not all(bool(torch.isfinite(torch.cat(s)).all()) for s in steps):
        return None
    return _descent(steps) or _linear(steps) or _adaptive(steps)


def rate_of(step: Step) -> float | None:
    """The learning rate of plain descent that explains an update; None where none does."""
    (rate,), rest = _fit(step.gone, step.gradient)
    return rate if rest <= EXACT and math.isfinite(rate) else None


def _descent(steps: list[Step]) -> Rule | None:
    rates = [rate_of(s) for s in steps]
    return None if None in rates else Rule("SGD", {}, tuple(r for r in rates if r is not None))


def _linear(steps: list[Step]) -> Rule | None:
    """Momentum and weight decay: a step is a part of the last one, the gradient and the weights."""
    if len(steps) < FEWEST:
        return None
    last = [torch.zeros_like(steps[0].gone), *(s.gone for s in steps[:-1])]
    columns = (torch.cat(last), torch.cat([s.gradient for s in steps]), torch.cat([s.weight for s in steps]))
    (momentum, rate, decay), rest = _fit(torch.cat([s.gone for s in steps]), *columns)
    if rest > EXACT or not rate > 0 or not -TINY < momentum < 1:
        return None
    options = {"momentum": momentum if momentum > TINY else 0.0, "weight_decay": decay / rate}
    options = {k: float(f"{v:.4g}") for k, v in options.items() if abs(v) > TINY}
    return Rule("SGD", options, (rate,) * len(steps))


def _adaptive(steps: list[Step]) -> Rule | None:
    """The rule with moments that comes closest, if one comes close at all."""
    found = [rule for first, second in product(*BETAS) for rule in _with_moments(steps, first, second)]
    return min(found, key=lambda one: one[0])[1] if found else None


def _with_moments(steps: list[Step], first: float, second: float) -> Iterator[tuple[float, Rule]]:
    """(the largest share of a step that is left, the rule)."""
    for corrected, epsilon in product((True, False), EPSILONS):
        scaled = _scaled(steps, first, second, corrected, epsilon)
        fits = [_fit(s.gone, direction, s.weight) for s, direction in zip(steps, scaled, strict=True)]
        rule = _named(first, second, corrected, epsilon, [factors for factors, _ in fits])
        left = max(left for _, left in fits)
        if rule is not None and left <= CLOSE and min(rule.rates) > 0:
            yield left, rule


def _scaled(steps: list[Step], first: float, second: float, corrected: bool, epsilon: float) -> Iterator[Tensor]:
    mean = square = torch.zeros_like(steps[0].gradient)
    for n, step in enumerate(steps, 1):
        mean = first * mean + (1 - first) * step.gradient
        square = second * square + (1 - second) * step.gradient**2
        up, down = (1 - first**n, 1 - second**n) if corrected else (1.0, 1.0)
        yield mean / up / ((square / down).sqrt() + epsilon)


def _named(first: float, second: float, corrected: bool, epsilon: float, found: list[tuple[float, ...]]) -> Rule | None:
    rates = tuple(rate for rate, _ in found)
    decay = sum(d / r for r, d in found if r) / len(found)
    decay = float(f"{decay:.3g}") if abs(decay) > TINY else 0.0
    if corrected:
        return Rule("AdamW", {"betas": [first, second], "eps": epsilon, "weight_decay": decay}, rates)
    if first == 0.0 and not decay:
        return Rule("RMSprop", {"alpha": second, "eps": epsilon}, rates)
    return None


def _fit(wanted: Tensor, *columns: Tensor) -> tuple[tuple[float, ...], float]:
    """The factors of the columns that add up to a vector best, and the share of it that is left."""
    size = float(wanted.norm())
    matrix = torch.stack(columns, 1)
    scale = matrix.norm(dim=0).clamp(min=1e-30)
    if not size:
        return (0.0,) * len(columns), math.inf
    factors = torch.linalg.lstsq(matrix / scale, wanted[:, None], driver="gelsd").solution[:, 0] / scale
    return tuple(factors.tolist()), float((wanted - matrix @ factors).norm()) / size
