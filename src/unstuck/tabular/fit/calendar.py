"""Month, weekday and hour of dates, as inputs."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
PARTS = ("month, sine", "month, cosine", "weekday, sine", "weekday, cosine", "hour, sine", "hour, cosine")
"""Positions on circles, so that December is next to January, Sunday next to Monday and 23 h next to 0 h."""


def parts(days: Array) -> Array:
    """The parts of dates, given in days since 1970-01-01, (n,), NaN where missing: (n, 6), 0 where missing.

    A column whose dates have no time of day, or that are times alone, has parts that do not vary: these are ignored
    like any constant column.
    """
    known = np.isfinite(days)
    whole = np.floor(np.where(known, days, 0.0))
    with np.errstate(invalid="ignore"):
        dates = np.clip(whole, -700_000, 2_900_000).astype("datetime64[D]")  # the years 54 to 9909
    month = (dates.astype("datetime64[M]").astype(np.int64) % 12) / 12
    weekday = ((whole + 3) % 7) / 7  # 1970-01-01 was a Thursday
    hour = np.where(known, days, 0.0) - whole
    angles = 2 * np.pi * np.stack([month, weekday, hour], axis=1)
    turns = np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(len(days), 6)
    # Rounded, so that the constant parts of dates without a time of day are exactly constant.
    return np.where(known[:, None], np.round(turns, 9), 0.0) + 0.0
