"""The training log of an estimator: loss curves, progress lines, and notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


@dataclass
class Log:
    """The epochs of a stage that is trained beside others, perhaps in another process, to be told in order."""

    told: list[tuple[Any, Any]] = field(default_factory=list)

    def watch(self, shape: Any, now: Any) -> None:
        """Keep the latest epoch."""
        net = SimpleNamespace(lanes=now.net.lanes)
        self.told.append((shape, SimpleNamespace(curve=[now.curve[-1]], net=net)))

    def replay(self, watch: Callable[[Any, Any], None]) -> None:
        """Tell all epochs."""
        for shape, now in self.told:
            watch(shape, now)


@dataclass
class Course:
    """Losses by epoch, one network after the other."""

    verbose: int = 0
    train: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)

    def watch(self, shape: Any, now: Any) -> None:
        """Record the latest epoch of `now`, and print it if `verbose`."""
        epoch = now.curve[-1]
        self.train.append(epoch.train)
        self.held.append(epoch.held)
        if self.verbose:
            place = f"{shape}  epoch {epoch.number:>3} of {epoch.of}"
            print(f"{place}  loss {epoch.train:.4f}  held-out loss {epoch.held:.4f}", flush=True)


def noted(model: Any, columns: int, roles: Any = None) -> list[str]:
    """Notes on what was decided in fitting. `roles`: of a data frame's columns, of which dates have several inputs."""
    encoder = model.encoder
    parts = [k for kind in roles.numbers.values() for k in range(roles.parts(kind))] if roles is not None else None
    kept = [j for j in encoder.numeric.kept if parts is None or parts[j] == 0]
    still = columns - len(kept) - len(encoder.words)
    notes = list(model.notes)
    if still:
        notes.append(f"{_counted(still, 'column')} ignored: constant or empty")
    if gaps := int(encoder.numeric.gaps.sum()):
        notes.append(f"{_counted(gaps, 'column')} with missing values: each has an extra input that marks them")
    if cut := sum(words.cut for words in encoder.words):
        notes.append(f"{_counted(cut, 'column')} of words with rare ones, which share one input")
    return notes


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" + "s" * (n > 1)
