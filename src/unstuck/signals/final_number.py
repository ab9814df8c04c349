"""The number that the person looks at: the last accuracy or R2 that the script prints of its network.

Only a number that says what it is counts: `accuracy` or `R2` among its words, a value that such a score can have, and
no word that makes it another quantity (the best of several, one class of many, a training score).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.printed import Line, Number, Printed
from unstuck.signals.recomputed import ACCURACY, OTHERWISE
from unstuck.signals.task import Task, main_program
from unstuck.signals.yardstick import Yardstick, yardstick
from unstuck.tape.model import Tape
from unstuck.tape.site import Site

DETERMINATION = {"r2"}
TRAINING = {"train", "training", "batch", "step", "before", "initial", "start", "target", "threshold", "goal"}
"""Next to one of these words a score is not the result."""
ELSEWHERE = {
    "adversarial",
    "robust",
    "attack",
    "attacked",
    "ood",
    "noisy",
    "corrupted",
    "shuffled",
    "permuted",
    "random",
}
"""A score on rows that were made hard on purpose."""

LATE = 0.9
"""A run that was cut off may have learnt more since it printed a score, unless nearly all of its steps lie before."""


@dataclass(frozen=True)
class FinalNumber:
    """The last printed score, and where it stands between the constant answer and perfection."""

    label: str
    value: float
    score: float
    """The value as a share where it is printed in per cent."""
    skill: float
    site: Site | None

    @classmethod
    def read(cls, tape: Tape) -> FinalNumber:
        """NotApplicable if no such number was printed after training had begun."""
        main, task = main_program(tape), Task.read(tape)
        yard, printed = yardstick(tape, main, task), Printed.read(tape)
        for line in reversed(printed.lines):
            numbers = list(_scores(line, yard)) if line.said.after >= _begin(tape) else []
            if numbers:
                return _of(numbers[-1], line, yard)
        raise NotApplicable("no score that names itself was printed")


def _begin(tape: Tape) -> float:
    """How many passes must have come before a line: of a run that was cut off, nearly all that were recorded."""
    if tape.cut and tape.late:
        return math.inf  # lines and steps can no longer be put in order
    return LATE * len(tape.passes) if tape.cut else 1


def _scores(line: Line, yard: Yardstick) -> Iterator[Number]:
    """The numbers of a line that are scores of the task."""
    wanted, high = (DETERMINATION, 1.0) if yard.kind == "regression" else (ACCURACY, 100.0)
    low = -math.inf if yard.kind == "regression" else 0.0
    if yard.kind in ("unknown", "multilabel") or yard.flat:
        return
    for number in line.numbers:
        words = set(number.words)
        other = words & (OTHERWISE | TRAINING | ELSEWHERE) - wanted
        if words & wanted and not other and (low <= number.value <= high or math.isnan(number.value)):
            yield number


def _of(number: Number, line: Line, yard: Yardstick) -> FinalNumber:
    share = number.value if yard.kind == "regression" else number.share
    base = yard.constant or 0.0
    skill = -1.0 if math.isnan(share) else max(-1.0, min(1.0, (share - base) / max(1 - base, 1e-9)))
    return FinalNumber(" ".join(number.words), number.value, share, skill, line.said.site)
