"""The error of leaving an optimizer's epsilon unchanged.

Adam and similar optimizers step by `m / (r + eps)`, where r is the running size of the gradient. On `c x` all gradients
of the first layer are c times larger, so an unchanged eps acts like `eps / |c|` on x, and a step is off by

    (r + eps) / (r + eps/|c|) - 1  =  eps (1 - 1/|c|) / (r + eps/|c|)

r being the size on x: nearly 0 while r is far above eps, and at most `|c| - 1`, the limit for a gradient of 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unstuck.tabular.scaling.recipe import Recipe
from unstuck.tabular.scaling.units import GRADIENT, NotEquivalent, unit_of


@dataclass(frozen=True)
class Deviation:
    """Relative error of every step of the first layer's weights, same shape as the sizes; positive: step too long."""

    each: NDArray[np.float64]
    limit: float
    """The upper bound for any size."""

    @property
    def median(self) -> float:
        """The median absolute error over the weights."""
        return float(np.median(np.abs(self.each)))

    @property
    def worst(self) -> float:
        """The largest error among the sizes."""
        return float(np.max(np.abs(self.each)))

    def __str__(self) -> str:
        return (
            f"steps are off by {self.median:.2g} (median), {self.worst:.2g} (worst), never more than {self.limit:.3g}"
        )


def deviation(recipe: Recipe, sizes: Any, input_scale: float) -> Deviation:
    """The error of keeping epsilon when `equivalent(recipe, input_scale)` would change it.

    `sizes`: of the first layer's gradients on x, entry by entry (for Adam the square root of the bias-corrected second
    moment; the root mean square over some batches is close enough). Raises NotEquivalent for an optimizer without such
    an epsilon.
    """
    share = recipe.layers[0].weight
    if unit_of(recipe.method, "eps", share.settings) != GRADIENT or recipe.method == "adamax":
        raise NotEquivalent(f"{recipe.method} adds no epsilon to the size of a gradient")
    size = np.abs(np.asarray(sizes, dtype=np.float64))
    if not np.isfinite(size).all() or input_scale == 0:
        raise ValueError("sizes must be finite and the scale not 0")
    inverse = 1.0 / abs(input_scale)
    with np.errstate(invalid="ignore"):
        each = share.eps * (1 - inverse) / (size + share.eps * inverse)
    return Deviation(np.nan_to_num(each), abs(abs(input_scale) - 1) if share.eps else 0.0)
