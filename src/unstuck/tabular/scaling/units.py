"""The unit of every setting of every optimizer: the law as a table.

Write a weight in other units, `p' = s p`, and multiply the loss by `k`: the gradient becomes `g' = (k/s) g`. An
optimizer that only adds and compares quantities of equal units then follows the same trajectory, if its settings are
converted too. So the law only needs the unit of each setting: a power of the weight's times a power of the gradient's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class NotEquivalent(ValueError):
    """There is no equivalent recipe; the message says why and what to do instead."""


@dataclass(frozen=True)
class Unit:
    """`weight^a gradient^b`."""

    weight: int
    gradient: int

    def factor(self, weight: float, gradient: float) -> float:
        """The factor of a setting with this unit when weights are multiplied by `weight` and gradients by
        `gradient`."""
        # Absolute values: a negative scale flips the weight and its gradient together, and no rate becomes negative.
        return abs(weight) ** self.weight * abs(gradient) ** self.gradient


WEIGHT, GRADIENT = Unit(1, 0), Unit(0, 1)
STEP = Unit(1, -1)
"""The unit of a rate that turns a gradient into a change of the weight."""
PULL = Unit(-1, 1)
"""The unit of a weight decay that is added to the gradient."""

ADAPTIVE: Mapping[str, Unit] = {"lr": WEIGHT, "eps": GRADIENT, "weight_decay": PULL}
"""The gradient divided by its own size has no unit, so the rate has the weight's."""
UNITS: Mapping[str, Mapping[str, Unit]] = {
    "sgd": {"lr": STEP, "weight_decay": PULL},
    "asgd": {"lr": STEP, "lambd": PULL, "weight_decay": PULL},
    "adam": ADAPTIVE,
    "adamw": ADAPTIVE,
    "nadam": ADAPTIVE,
    "adamax": ADAPTIVE,
    "rmsprop": ADAPTIVE,
    "adagrad": {**ADAPTIVE, "initial_accumulator_value": Unit(0, 2)},
    # Its epsilon is added to squared gradients and to squared steps; with the unit of the former, the whole rule has
    # the gradient's unit, and the rate is that of plain descent.
    "adadelta": {"lr": STEP, "eps": Unit(0, 2), "weight_decay": PULL},
    "rprop": {"lr": WEIGHT, "step_sizes": WEIGHT},
}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "sgd": {"lr": 1e-3, "weight_decay": 0.0},
    "asgd": {"lr": 1e-2, "lambd": 1e-4, "weight_decay": 0.0},
    "adam": {"lr": 1e-3, "eps": 1e-8, "weight_decay": 0.0},
    "adamw": {"lr": 1e-3, "eps": 1e-8, "weight_decay": 1e-2},
    "nadam": {"lr": 2e-3, "eps": 1e-8, "weight_decay": 0.0},
    "adamax": {"lr": 2e-3, "eps": 1e-8, "weight_decay": 0.0},
    "rmsprop": {"lr": 1e-2, "eps": 1e-8, "weight_decay": 0.0},
    "adagrad": {"lr": 1e-2, "eps": 1e-10, "weight_decay": 0.0, "initial_accumulator_value": 0.0},
    "adadelta": {"lr": 1.0, "eps": 1e-6, "weight_decay": 0.0},
    "rprop": {"lr": 1e-2, "step_sizes": (1e-6, 50.0)},
}
"""torch's defaults of settings with a unit, needed to rewrite a setting that was not given."""
REFUSED: Mapping[str, str] = {
    "radam": "RAdam's first steps follow the gradient itself and the later ones the gradient over its size, "
    "so its rate would need one factor before the switch and another after it",
    "lbfgs": "L-BFGS sums products over all layers, so another unit in one layer changes the steps of every layer",
}
"""Optimizers without an equivalent recipe, and why."""


def unit_of(method: str, name: str, settings: Mapping[str, Any]) -> Unit | None:
    """The unit of one setting; None for momentum, betas and switches. Raises NotEquivalent for unknown optimizers."""
    if method not in UNITS:
        raise NotEquivalent(REFUSED.get(method, f"the units of {method}'s settings are unknown"))
    units = UNITS[method]
    if name == "weight_decay" and settings.get("decoupled_weight_decay", method == "adamw"):
        # lr * weight_decay is the share of the weight lost per step: a number without a unit.
        return Unit(-units["lr"].weight, -units["lr"].gradient)
    return units.get(name)
