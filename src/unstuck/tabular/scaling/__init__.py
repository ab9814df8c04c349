"""The scaling law: recipes that train on `c x + b` exactly as others train on x.

    equivalent   the recipe that follows the same trajectory for another unit of the input or the loss
    rescaled     the recipe after ReLU's symmetry: one layer divided, the next multiplied
    balanced     the equivalent recipe with one learning rate for all layers
    deviation    the error of leaving an optimizer's epsilon unchanged
    Affine       shifted inputs: which rates they need, and the mixing of gradients that makes SGD follow the trajectory
    realise      start a torch training run from a recipe

Only `realise`, `precondition` and `Recipe.of` import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unstuck.tabular.scaling.columns import Columns
from unstuck.tabular.scaling.epsilon import Deviation, deviation
from unstuck.tabular.scaling.law import balanced, equivalent, rescaled
from unstuck.tabular.scaling.layer import Layer, Share
from unstuck.tabular.scaling.offsets import Affine
from unstuck.tabular.scaling.recipe import Recipe
from unstuck.tabular.scaling.units import NotEquivalent

if TYPE_CHECKING:
    from unstuck.tabular.scaling.optimizer import precondition, realise

__all__ = [
    "Affine",
    "Columns",
    "Deviation",
    "Layer",
    "NotEquivalent",
    "Recipe",
    "Share",
    "balanced",
    "deviation",
    "equivalent",
    "precondition",
    "realise",
    "rescaled",
]


def __getattr__(name: str) -> Any:
    if name not in ("precondition", "realise"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from unstuck.tabular.scaling import optimizer

    return getattr(optimizer, name)
