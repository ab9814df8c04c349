"""The number that the person looks at: the last score of its network that the script prints.

It is followed back to the tensors that it was computed from. A number is a score if its words say so (`accuracy`, `R2`)
and none makes it another quantity (the best of several, one class of many), or, whatever its words, if it is the score
that the answers recorded in its own evaluations give. A number that was computed in the training steps is a training
score and stands for no result, unless the script prints nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.number_origin import Origin, Origins
from unstuck.signals.printed import Line, Number, Printed
from unstuck.signals.recomputed import ACCURACY, OTHERWISE, Answers
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
FINE = 0.02
"""A number that is rounded to more than this share of a whole one of its kind may be anything."""
SAME = 1e-3
"""Relative difference of a printed squared error and the recomputed one: a mean over unequal batches."""


@dataclass(frozen=True)
class FinalNumber:
    """The last printed score, and where it stands between the constant answer and perfection."""

    label: str
    value: float
    score: float
    """The value as a share where it is printed in per cent; of a squared error the R2."""
    skill: float
    site: Site | None
    origin: Origin | None = None
    """What it was computed from, where that is known."""
    confirmed: bool = False
    """The answers recorded in its own evaluations give it."""

    @classmethod
    def read(cls, tape: Tape) -> FinalNumber:
        """NotApplicable if no such number was printed after training had begun."""
        main, task = main_program(tape), Task.read(tape)
        yard, printed = yardstick(tape, main, task), Printed.read(tape)
        if yard.kind in ("unknown", "multilabel") or yard.flat:
            raise NotApplicable("no score says how well this task is done")
        found = _Finder(tape, yard, printed).last()
        if found is None:
            raise NotApplicable("no score that names itself was printed")
        return found


@dataclass(frozen=True)
class _Recount:
    """The score of some evaluations, and what a script may print for it."""

    yard: Yardstick
    rows: Tensor
    """(evaluations, K) What the yardstick adds up."""
    sizes: Tensor
    """(evaluations,) Numbers in the targets."""

    @property
    def score(self) -> float:
        return float(self.yard.score(self.rows.sum(0)))

    @property
    def told(self) -> tuple[tuple[float, float], ...]:
        """Numbers that say it, each with the size of a whole one of its kind: over all rows, or a mean over batches."""
        if self.yard.kind == "regression":
            errors = self._both(lambda rows, sizes: rows[:, 0] / sizes)
            found = (size for error in errors for size in (error, math.sqrt(error)))
            return ((1.0, self.score), *((size, size) for size in found))
        plain = self._both(lambda rows, _: _hits(rows))
        both = [share for x in (self.score, *plain) for share in (x, 1 - x)]
        return tuple((unit, unit * share) for share in both for unit in (1.0, 100.0))

    def _both(self, of: Callable[[Tensor, Tensor], Tensor]) -> tuple[float, float]:
        whole = of(self.rows.sum(0, keepdim=True), self.sizes.sum(0, keepdim=True))
        return float(whole), float(of(self.rows, self.sizes).mean())


def _hits(rows: Tensor) -> Tensor:
    hits, count = rows.chunk(2, 1)
    return hits.sum(1) / count.sum(1).clamp(min=1)


@dataclass(frozen=True)
class _Finder:
    tape: Tape
    yard: Yardstick
    printed: Printed

    def last(self) -> FinalNumber | None:
        """The last score; one from training steps only where there is no other."""
        begin, spare = _begin(self.tape), None
        for line in reversed(self.printed.lines):
            found = list(self._scores(line)) if line.said.after >= begin else []
            told = [one for one in found if one.origin is None or not one.origin.trained]
            if told:
                return told[-1]
            spare = found[-1] if found and spare is None else spare
        return spare

    def _scores(self, line: Line) -> Iterator[FinalNumber]:
        """The numbers of a line that are scores of the task."""
        for place, number in enumerate(line.numbers):
            named = self._named(number)
            origin = self._origin(line, place, named)
            counted = self._counted(number, origin) if origin is not None else None
            if named or counted is not None:
                yield self._of(line, number, origin, counted)

    def _named(self, number: Number) -> bool:
        number, regression = number.scaled, self.yard.kind == "regression"
        wanted, high = (DETERMINATION, 1.0) if regression else (ACCURACY, 100.0)
        words, low = set(number.words), -math.inf if regression else 0.0
        other = words & (OTHERWISE | TRAINING | ELSEWHERE) - wanted
        if other or number.listed or not words & wanted:
            return False
        return low <= number.value <= high or math.isnan(number.value)

    def _origin(self, line: Line, place: int, named: bool) -> Origin | None:
        """Of a number that says that it is a score, and is none that left a tensor: the last answers that did."""
        number = line.numbers[place]
        if self._origins is None or set(number.words) & ELSEWHERE:
            return None
        found = self._origins.of(line, place)
        if found is not None or not number.words:  # any number may look like a score
            return found
        whole = list(self._origins.at_once(line))
        said = next((one for one in whole if self._counted(number, one) is not None), None)
        return whole[0] if said is None and named and len(whole) == 1 else said

    @cached_property
    def _origins(self) -> Origins | None:
        return Origins(self.tape, self.printed) if self.tape.facts.exits else None

    def _counted(self, number: Number, origin: Origin) -> float | None:
        """The score of the answers in its evaluations, if the number says that; None otherwise, or where they are old.

        A squared error (or its root) says it too.
        """
        number, found = number.scaled, self._recount(origin.source.evaluations) if self._late(origin) else None
        fine = (number.step <= FINE * unit for unit, value in found.told if _equal(value, number)) if found else ()
        return found.score if found is not None and any(fine) else None

    def _late(self, origin: Origin) -> bool:
        asked = origin.source.evaluations
        last = max((e.after for e in self.tape.evaluations), default=0)
        return bool(asked) and last > 0 and self.tape.evaluations[asked[-1]].after == last

    def _recount(self, evaluations: tuple[int, ...]) -> _Recount | None:
        """None unless all the evaluations can be scored."""
        if evaluations not in self._known:
            self._known[evaluations] = self._new(evaluations)
        return self._known[evaluations]

    def _new(self, evaluations: tuple[int, ...]) -> _Recount | None:
        answers = self.answers
        parts = [answers.counted(n) for n in evaluations] if answers is not None else []
        rows = [part for part in parts if part is not None]
        if answers is None or len(rows) < len(evaluations):
            return None
        sizes = [pair[1].numel() for n in evaluations if (pair := answers.pair(n)) is not None]
        return _Recount(self.yard, torch.stack(rows), torch.tensor(sizes).clamp(min=1))

    @cached_property
    def _known(self) -> dict[tuple[int, ...], _Recount | None]:
        return {}

    @cached_property
    def answers(self) -> Answers | None:
        """The recorded answers."""
        with suppress(NotApplicable):
            return Answers.read(self.tape)
        return None

    def _of(self, line: Line, number: Number, origin: Origin | None, counted: float | None) -> FinalNumber:
        """Of a number that its own answers confirm, their score, which is balanced where classes are rare."""
        share = number.value if self.yard.kind == "regression" else number.share
        score = share if counted is None else counted
        base = self.yard.constant or 0.0
        skill = -1.0 if math.isnan(score) else max(-1.0, min(1.0, (score - base) / max(1 - base, 1e-9)))
        label = " ".join(number.words) or self.yard.name
        return FinalNumber(label, number.scaled.value, score, skill, line.said.site, origin, counted is not None)


def _begin(tape: Tape) -> float:
    """How many passes must have come before a line: of a run that was cut off, nearly all that were recorded."""
    if tape.cut and tape.late:
        return math.inf  # lines and steps can no longer be put in order
    return LATE * len(tape.passes) if tape.cut else 1


def _equal(value: float, number: Number) -> bool:
    return abs(value - number.value) <= number.step + SAME * abs(value)
