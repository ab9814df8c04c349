"""Phrases for epochs in the heart-rate study."""

from __future__ import annotations

import math

from unstuck.report.html.figures import Axis, Spread, number

EPOCHS = Axis("epoch", log=True)


def got(spread: Spread) -> str:
    """The end of a sentence with "reaches 99 %": `with every seed (median 510 epochs)`."""
    seeds = len(spread.values)
    if not spread.reached:
        return "with no seed"
    if spread.reached < seeds:
        return f"with {spread.reached} of {seeds} seeds ({_range(spread)} epochs)"
    return f"with every seed ({'median ' * (seeds > 1)}{number(spread.median)} epochs)"


def _range(spread: Spread) -> str:
    low, high = min(spread.known), max(spread.known)
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def times(a: float, b: float) -> str:
    """The ratio a / b as text: `15 times`."""
    return f"{number(a / b, 2)} times" if math.isfinite(a) and math.isfinite(b) and b else "an unknown multiple of"
