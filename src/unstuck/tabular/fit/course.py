"""The training log of an estimator: loss curves, progress lines, and notes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


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


def noted(model: Any, columns: int) -> list[str]:
    """Notes on what was decided in fitting."""
    encoder = model.encoder
    still = columns - len(encoder.numeric.kept) - len(encoder.words)
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
