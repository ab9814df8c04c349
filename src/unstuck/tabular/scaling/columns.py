"""Settings with one value for a layer, or one per input feature."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


class Columns(tuple[Any, ...]):
    """One value per input feature, in the order of the weight's columns (its dimension 1)."""

    __slots__ = ()


Value = Any
"""A float, a plain tuple of floats (such as betas), or Columns of either."""


def spread(function: Callable[..., Any], *values: Value) -> Value:
    """Apply `function` to plain values, or column by column if any of them is Columns of equal lengths."""
    widths = {len(value) for value in values if isinstance(value, Columns)}
    if not widths:
        return function(*values)
    if len(widths) > 1:
        raise ValueError(f"lengths differ: {' and '.join(map(str, sorted(widths)))} features")
    width = widths.pop()
    wide = [value if isinstance(value, Columns) else (value,) * width for value in values]
    return Columns(function(*each) for each in zip(*wide, strict=True))


def times(value: Value, factor: Value) -> Value:
    """The product, column by column; both numbers of a tuple are multiplied."""
    return spread(lambda v, f: tuple(e * f for e in v) if isinstance(v, tuple) else v * f, value, factor)


def per_feature(given: Any, what: str) -> float | Columns:
    """A finite number, or Columns of them from a sequence or one-dimensional array. Raises ValueError."""
    plain = given.tolist() if hasattr(given, "tolist") else given
    values = [plain] if isinstance(plain, int | float) else list(plain)
    if not values or not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
        raise ValueError(f"{what} must be a finite number or one per feature")
    return float(values[0]) if isinstance(plain, int | float) else Columns(float(v) for v in values)


def every(test: Callable[..., bool], *values: Value) -> bool:
    """Whether `test` holds for the plain values, or in every column."""
    held = spread(test, *values)
    return all(held) if isinstance(held, Columns) else bool(held)
