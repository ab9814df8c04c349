"""Map values to coordinates, linearly or logarithmically, with round ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from unstuck.report.html.figures import number

FARTHEST = 1e300
"""Larger values are clipped to this, so that their differences stay finite."""
ROUND = (1, 2, 5, 10)


@dataclass(frozen=True)
class Scale:
    """Maps values from `low` to `high` (their logarithms if `log`) to coordinates from `start` to `end`, in pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    whole: bool = False
    """Whether only whole numbers get ticks."""

    @classmethod
    def over(
        cls,
        values: Iterable[float],
        start: float,
        end: float,
        log: bool = False,
        *,
        zero: bool = False,
        whole: bool = False,
    ) -> Scale:
        """The scale that shows all finite values; includes 0 if `zero` (and not `log`)."""
        known = [v for v in (_seen(value, log) for value in values) if v is not None]
        known += [0.0] if zero and not log else []
        low, high = min(known, default=0.0), max(known, default=1.0)
        if high - low <= 1e-9 * max(abs(low), abs(high), 1e-200):
            # All values are equal: add proportional space on both sides.
            room = 0.5 if log or abs(low) < 1e-200 else abs(low) / 10
            low, high = low - room, high + room
        return cls(low, high, start, end, log, whole)

    def rounded(self, count: int = 5) -> Scale:
        """Widened to multiples of the tick distance, so that both ends have a tick."""
        step = 1.0 if self.log else self._step(count)
        low, high = math.floor(self.low / step + 1e-9) * step, math.ceil(self.high / step - 1e-9) * step
        return replace(self, low=low, high=high) if low < high else self

    def place(self, value: float) -> float | None:
        """The coordinate of a value; None if it cannot be drawn (nan, infinities, 0 or less on a logarithmic scale)."""
        seen = _seen(value, self.log)
        if seen is None:
            return None
        part = (seen - self.low) / (self.high - self.low)
        return self.start + (self.end - self.start) * min(max(part, 0.0), 1.0)

    def ticks(self, count: int = 5) -> Iterator[tuple[float, str]]:
        """Coordinates and labels of the ticks."""
        for value in _decades(self.low, self.high, count) if self.log else self._steps(count):
            place = self.place(value)
            if place is not None:
                yield place, label(value)

    def _step(self, count: int) -> float:
        """The round number that gives about `count` ticks."""
        raw = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(raw))
        step = next((power * r for r in ROUND if raw <= power * r * 1.0001), power * 10)
        return max(step, 1.0) if self.whole else step

    def _steps(self, count: int) -> Iterator[float]:
        step = self._step(count)
        for i in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1):
            yield i * step


def label(value: float) -> str:
    """A number on an axis: powers of ten only for very large and very small ones."""
    if value and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1e3 else number(value, 4)


def _seen(value: float, log: bool) -> float | None:
    if not math.isfinite(value) or (log and value <= 0):
        return None
    near = min(max(value, 1 / FARTHEST if log else -FARTHEST), FARTHEST)
    return math.log10(near) if log else near


def _decades(low: float, high: float, count: int) -> list[float]:
    """Powers of ten, skipping some if there are many, adding round multiples if there are few."""
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    stride = max(1, math.ceil((last - first + 1) / (count + 2)))
    powers = [10.0**p for p in range(first, last + 1, stride)]
    if len(powers) > 2:
        return powers
    finer = [m * 10.0**p for p in range(first - 1, last + 1) for m in ROUND[:3]]
    near = [v for v in finer if low - 1e-9 <= math.log10(v) <= high + 1e-9]
    return near if len(near) > 1 else [10**low, 10**high]
