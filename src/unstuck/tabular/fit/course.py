"""The course of a training as an estimator tells it: curves, lines while it runs, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Course:
    """Losses epoch by epoch, of one network after the other."""

    verbose: int = 0
    train: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)

    def watch(self, shape: Any, now: Any) -> None:
        """Note the latest epoch of `now`, and print it if that is wanted."""
        epoch = now.curve[-1]
        self.train.append(epoch.train)
        self.held.append(epoch.held)
        if self.verbose:
            place = f"{shape}  epoch {epoch.number:>3} of {epoch.of}"
            print(f"{place}  loss {epoch.train:.4f}  on held-out rows {epoch.held:.4f}", flush=True)


def noted(model: Any, columns: int) -> list[str]:
    """What a model decided, in sentences."""
    encoder = model.encoder
    still = columns - len(encoder.numeric.kept) - len(encoder.words)
    notes = list(model.notes)
    if still:
        notes.append(f"{_counted(still, 'column')} left out: one value throughout, or none")
    if gaps := int(encoder.numeric.gaps.sum()):
        notes.append(f"{_counted(gaps, 'column')} with missing values: each has an input that says where")
    if cut := sum(words.cut for words in encoder.words):
        notes.append(f"{_counted(cut, 'column')} of words with rare ones, which share an input")
    return notes


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" + "s" * (n > 1)
