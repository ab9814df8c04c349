"""What the script prints about itself: every number of a line, and the words before it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from unstuck.diagnosis.model import NotApplicable
from unstuck.tape.model import Said, Tape

NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?(?![\w])|\b(?:nan|inf)\b")
WORD = re.compile(r"[a-z]+[0-9]?")
HIGHER = {
    *("acc", "accuracy", "f1", "auc", "auroc", "r2", "score", "recall", "precision", "mcc", "kappa", "iou", "dice"),
    *("correct", "hits", "top1"),
}
"""Words for numbers of which more is better."""
LOWER = {"loss", "error", "err", "mse", "mae", "rmse", "nll", "perplexity", "ppl", "cost", "mape", "bce"}


@dataclass(frozen=True)
class Number:
    """A number in a line."""

    value: float
    step: float
    """Half a unit of its last digit."""
    words: tuple[str, ...]
    """The words since the number before it, in lower case."""

    @property
    def share(self) -> float:
        """Read as a share: per cent where it is above one."""
        return self.value / 100 if self.value > 1 else self.value

    @property
    def better(self) -> int:
        """1 where more is better, -1 where less is, 0 where the words do not say."""
        told = set(self.words)
        return 0 if bool(told & HIGHER) == bool(told & LOWER) else (1 if told & HIGHER else -1)


@dataclass(frozen=True)
class Line:
    """A line that was printed."""

    said: Said
    form: str
    """The line with # for its numbers."""
    numbers: tuple[Number, ...]


@dataclass(frozen=True)
class Printed:
    """All lines with numbers, in order."""

    lines: tuple[Line, ...]

    @classmethod
    def read(cls, tape: Tape) -> Printed:
        """Of what is on the tape; NotApplicable where nothing was printed."""
        if not tape.said:
            raise NotApplicable("the script prints no number")
        return cls(tuple(_line(s) for s in tape.said))

    def last(self) -> dict[str, Line]:
        """Of each form the last line."""
        return {line.form: line for line in self.lines}


def _line(said: Said) -> Line:
    return Line(said, NUMBER.sub("#", said.line), tuple(_numbers(said.line)))


def _numbers(line: str) -> Iterator[Number]:
    end = 0
    for found in NUMBER.finditer(line):
        text = found.group()
        mantissa, _, power = text.lower().partition("e")
        decimals = len(mantissa.partition(".")[2])
        step = 0.5 * 10.0 ** (int(power or 0) - decimals) if text[-1].isdigit() or text[-1] == "." else 0.0
        yield Number(float(text), step, tuple(WORD.findall(line[end : found.start()].lower())))
        end = found.end()
