"""Training progress: one line that is overwritten on a terminal, one line per stage elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TextIO

from unstuck.tabular.fit.train import Shape, Training

OFTEN = 0.1
"""Minimum seconds between two updates of the line."""
PATIENT = 30.0
"""Minimum seconds between two lines of one stage without a terminal."""
SOON = 1.0
"""Seconds of reading before the first update."""


@dataclass
class Progress:
    """Writes progress to a stream; `baseline` is the loss of a constant prediction."""

    stream: TextIO
    live: bool
    width: int = 100
    quiet: bool = False
    baseline: float = 0.0
    measure: str = "explained"
    stages: int = 0
    _now: Training | None = None
    _shape: Shape | None = None
    _begun: float = 0.0
    _first: int = 0
    _written: float = field(default=-1.0)
    _since: float = 0.0

    def reading(self, rows: int) -> None:
        """`rows` rows have been read."""
        self._since = self._since or time.monotonic()
        if self.live and time.monotonic() - self._since > SOON and self._due():
            self._over(f"reading: {rows:,} rows")

    def trying(self) -> None:
        """Before the first epoch."""
        if self.live:
            self._over("measuring the columns, trying learning rates")

    def epoch(self, shape: Shape, now: Training) -> None:
        """A stage has finished an epoch."""
        if now is not self._now:
            self._closed()
            self._now, self._shape, self.stages = now, shape, self.stages + 1
            self._begun, self._first = time.monotonic(), len(now.curve)
            self._written = self._written if self.live else self._begun
        if self._due():
            self._over(self._line() + ("" if self.live else "\n"))

    def done(self) -> None:
        """The training has ended."""
        self._closed()
        if self.live:
            self._over("")

    def say(self, line: str) -> None:
        """Write a separate line."""
        if self.live:
            self._over("")
        self.stream.write(f"unstuck: {line}\n")
        self.stream.flush()

    def _due(self) -> bool:
        due = not self.quiet and time.monotonic() - self._written >= (OFTEN if self.live else PATIENT)
        self._written = time.monotonic() if due else self._written
        return due

    def _closed(self) -> None:
        if self._now is not None and not self.quiet:
            self._over(self._line(over=True) + "\n")
        self._now = None

    def _line(self, over: bool = False) -> str:
        assert self._now is not None and self._shape is not None
        last = self._now.curve[-1]
        best = min(self._now.curve, key=lambda e: e.held) if over else last
        end = f"best of {last.number} epochs: {best.number}" if over else f"epoch {last.number}/{last.of}"
        losses = f"loss {best.train:.4f}, held out {best.held:.4f}"
        share = f", {self.measure} {1 - best.held / self.baseline:.1%}" if self.baseline > 0 else ""
        stage = f"stage {self.stages} ({named(self._shape)}, x{self._now.net.lanes})"
        return f"{stage}  {end}  {losses}{share}{'' if over else self._left()}"

    def _left(self) -> str:
        assert self._now is not None
        done = len(self._now.curve) - self._first
        if not done:
            return ""
        each = (time.monotonic() - self._begun) / done
        return f"  {clock(each * (self._now.curve[-1].of - len(self._now.curve)))} left"

    def _over(self, line: str) -> None:
        if self.live:
            end = "\n" if line.endswith("\n") else ""
            room = max(self.width - 1, 20)
            self.stream.write("\r\x1b[K" + line.rstrip("\n")[:room] + end)
        else:
            self.stream.write(line)
        self.stream.flush()


def named(shape: Shape) -> str:
    """A short name of a shape."""
    hidden = "-".join(map(str, shape.hidden)) or "no hidden layer"
    more = [view for view in shape.views if view != "smooth"]
    return f"{hidden} {shape.activation}" + (f", views {' and '.join(['smooth', *more])}" if more else "")


def clock(seconds: float) -> str:
    """A duration in readable units; an upper bound, because of early stopping."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
