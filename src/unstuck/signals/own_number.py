"""The person's own number: the last one that both programs print under the same words, and which way it is better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from unstuck.diagnosis.experiment import OwnNumber
from unstuck.diagnosis.model import NotApplicable
from unstuck.diagnosis.skill import ROOM
from unstuck.signals.printed import Line, Number, Printed
from unstuck.tape.model import Tape

Way = Literal[1, -1, 0]
"""Higher is better, lower is better, or not known."""


@dataclass(frozen=True)
class Label:
    """Which number of a program's output is looked at."""

    form: str
    """The line, with # in the place of its numbers."""
    at: int
    """Which number of the line."""
    words: str
    better: Way
    because: str = ""
    """How it is known which way is better."""

    def course(self, printed: Printed) -> list[float]:
        """Every value of it, in order."""
        return [line.numbers[self.at].value for line in printed.lines if line.form == self.form]

    def value(self, printed: Printed) -> float | None:
        """Its last value; None where it was not printed."""
        return next(iter(self.course(printed)[::-1]), None)

    def directed(self, better: Way, because: str) -> Label:
        """The same number with the way in which it is better."""
        return replace(self, better=better, because=because)


def shared(before: Printed, after: Printed) -> Label | None:
    """The last number of the original's output that the other program prints in the same form too.

    Numbers whose words say which way is better go first: the last line may tell the seconds or the name of a file.
    """
    found = in_common(before, after)
    return next((label for label in found if label.better), found[0] if found else None)


def asked_for(labels: Sequence[Label], by: str, better: Way) -> Label | None:
    """The first of these numbers that has all the words of `by` before it, in the way asked for (0: as its words say).

    Without `by`, none whose words say the other way.
    """
    words = set(by.lower().split())
    for label in labels:
        if words <= set(label.words.split()) and (words or label.better in (better, 0)):
            return label.directed(better, "as asked") if better else label
    return None


def in_common(before: Printed, after: Printed) -> list[Label]:
    """The numbers of the lines that both programs print in one form, the last that the original prints first."""
    forms = after.last()
    common = [line for line in reversed(list(before.last().values())) if line.form in forms]
    common.sort(key=lambda line: -_last_at(before, line))
    return [_label(line, n) for line in common for n in reversed(range(len(line.numbers)))]


def _last_at(printed: Printed, line: Line) -> int:
    return max(n for n, other in enumerate(printed.lines) if other is line)


def _label(line: Line, at: int) -> Label:
    number: Number = line.numbers[at]
    words = " ".join(number.words[-3:]) or "the last number"
    better: Way = 1 if number.better > 0 else -1 if number.better < 0 else 0
    return Label(line.form, at, words, better, "by its name" if better else "")


def alike(pairs: Sequence[tuple[Printed, Printed]]) -> bool:
    """Whether both programs print the same courses in every pair, and other ones in another pair."""
    courses = [(_directed(one, other), _directed(other, one)) for one, other in pairs]
    return all(one == other for one, other in courses) and any(one != courses[0][0] for one, _ in courses)


def _directed(printed: Printed, other: Printed) -> list[tuple[str, str]]:
    """Every number that has a direction in the lines that both programs print."""
    forms = other.last().keys()
    lines = (line for line in printed.lines if line.form in forms)
    return [(line.form, repr(n.value)) for line in lines for n in line.numbers if n.better]


@dataclass(frozen=True)
class Scale:
    """From a printed number to a score on which a difference of 0.05 is worth having, whatever the number is."""

    kind: Literal["share", "per cent", "ratio", "size"]
    better: Way
    unit: float = 1.0

    def score(self, value: float) -> float:
        """Higher is better. What is no number is as bad as can be."""
        if self.kind == "ratio":
            return -math.log(min(max(value, 1 / WIDEST), WIDEST)) if value == value else -math.log(WIDEST)
        lowest = -FURTHEST if self.kind == "size" else LOWEST
        return max(lowest, min(self.better * value / self.unit, FURTHEST)) if value == value else lowest

    def healed(self, before: float, after: float) -> bool:
        """Whether a score that is beyond doubt better is at least half of the way to perfection better."""
        if self.kind == "ratio":
            return after - before >= math.log(1 / ROOM)
        return self.kind != "size" and after - before >= ROOM * (1 - max(before, 0.0))


WIDEST = 1e30
"""A loss beyond it, or below its inverse, counts as that."""
LOWEST = -1.0
"""Score of an r2 below it: such a run is as bad as any."""
FURTHEST = 10.0
"""Times the size of the first pair's numbers, beyond which no difference is made."""


def scale(better: Way, values: Sequence[float]) -> Scale:
    """The scale for numbers like these: accuracies and r2 as they are, per cents as shares, losses by their logarithm,
    anything else by its size."""
    known = [v for v in values if math.isfinite(v)] or [0.0]
    if better < 0 and min(known) > 0:
        return Scale("ratio", better)
    if better > 0 and max(known) <= 1:
        return Scale("share", better)
    if better > 0 and max(known) <= 100 and min(known) >= 0:
        return Scale("per cent", better, 100.0)
    return Scale("size", better, max(map(abs, known)) or 1.0)


def own_number(before: Tape, after: Tape) -> OwnNumber | None:
    """The number of both runs; None where they print none, or one was not seen to its end."""
    if before.cut or after.cut:
        return None
    try:
        said = Printed.read(before), Printed.read(after)
    except NotApplicable:
        return None
    found = in_common(*said)
    label = shared(*said)
    if label is None:
        return None
    old, new = (label.value(one) for one in said)
    if old is None or new is None:
        return None
    moved = next((clause for other in found[: found.index(label)] if (clause := _moved(other, *said))), "")
    if not label.better:
        return OwnNumber(label.words, old, new, 0.0, False, _moved(label, *said))
    measure = scale(label.better, [old, new])
    scores = measure.score(old), measure.score(new)
    return OwnNumber(label.words, old, new, scores[1] - scores[0], measure.healed(*scores), moved)


def _moved(label: Label, before: Printed, after: Printed) -> str:
    """Says that a number without a direction is twice or half of what it was; "" where it is not."""
    old, new = label.value(before), label.value(after)
    if label.better or old is None or new is None or not math.isfinite(old) or not math.isfinite(new):
        return ""
    low, high = sorted((abs(old), abs(new)))
    return f"the script prints {label.words} {old:.6g} before, {new:.6g} after" if high >= 2 * low and high else ""
