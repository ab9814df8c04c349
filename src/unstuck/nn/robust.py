"""Scaling by median and interquartile range, for columns with outliers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unstuck.nn.measured import Measured, inverse
from unstuck.nn.quantiles import SIZE, Quantiles
from unstuck.tabular.moments import Moments

NORMAL = 1.3489795
"""The interquartile range of a normal distribution, in standard deviations."""


class RobustScale(Measured):
    """(x - median) / interquartile range, per column.

    If at least half of a column is one value, the range is 0, and 1.349 standard deviations are used instead (the ratio
    for a normal distribution). A constant column becomes 0. Exact for the first `size` rows; beyond them a sketch (see
    `quantiles`) is used whose ranks are off by at most n * levels / size. It stores up to `size` rows per level, one
    level per doubling: 320 kB each for 10 columns.
    """

    def __init__(
        self, shape: int | Sequence[int], dims: int | Sequence[int] | None = None, *, size: int = SIZE, **options: Any
    ) -> None:
        if size < 2:
            raise ValueError("size must be at least 2")
        self._size = int(size)
        super().__init__(shape, dims, **options)

    @property
    def moments(self) -> Moments:
        return self._seen.moments

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "size": self._size}

    def _start(self) -> None:
        self._seen = Quantiles(Moments.none(self.columns), size=self._size)
        self._reduced = False

    def _measure(self, block: NDArray) -> Quantiles:
        return Quantiles.of(block, self._size)

    def _of_moments(self, moments: Moments) -> Any:
        raise ValueError("moments do not contain the median: merge the layers instead")

    def _unpacked(self, packed: NDArray) -> Quantiles:
        return Quantiles.unpacked(packed, self._size)

    def _numbers(self) -> tuple[NDArray, NDArray]:
        low, median, high = np.nan_to_num(self._seen.at(0.25, 0.5, 0.75))
        between = np.where(high > low, high - low, NORMAL * self.moments.spread)
        return median, inverse(between, self.moments.constant)
