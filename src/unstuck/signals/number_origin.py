"""Where a printed number comes from: the evaluations or the training steps whose tensors it was computed from.

The recorder keeps every number that leaves a tensor, with what the tensor depends on. A printed number is looked for
among them and among simple aggregates of those of one line: the last one, sums, means, a sum over a count of rows, and
their percentages, complements, roots and exponentials. An answer must hold for the lines of the same form as well, and
where several hold, the simplest ones must agree on what the number was computed from; otherwise nothing is said.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.overlap import Overlap
from unstuck.signals.printed import Line, Number, Printed
from unstuck.tape.model import Exit, Exits, Tape
from unstuck.tape.site import Site

ALIKE = 8
"""Lines of the same form that are looked at."""
ROUNDING = 1e-5
"""Relative difference of one sum in float32 and in float64, and in another order."""
CHANCE = 0.2
"""Aggregates that would fit a number by chance, at most, where one line is all there is."""

SHAPES: dict[str, tuple[int, Callable[[float], float]]] = {
    "": (0, lambda x: x),
    "times 100": (0, lambda x: 100 * x),
    "1 minus": (1, lambda x: 1 - x),
    "100 minus 100 times": (1, lambda x: 100 - 100 * x),
    "root of": (1, lambda x: math.sqrt(x) if x >= 0 else math.nan),
    "exp of": (2, lambda x: math.exp(x) if x < 50 else math.nan),
}
"""What may be done to an aggregate, and how far-fetched that is."""
WINDOWS = {"one evaluation": 0, "since that line was printed": 1, "since a line was printed": 1, "the whole run": 2}
"""Stretches of numbers of one line of the script, and how far-fetched each is."""
SUMS = {
    "the last": 0,
    "mean": 1,
    "sum": 1,
    "sum over rows": 1,
    "mean by rows": 2,
    "largest": 3,
    "smallest": 3,
    "recounted": 2,
}
"""Aggregates, and how far-fetched each is."""


Rows = Literal["training batches", "rows trained on", "rows not trained on", ""]
"""Rows of training steps, as they were answered there; rows of evaluations, trained on before or not."""


class Formula(NamedTuple):
    """How a number may have been computed."""

    place: int
    """Number of the line in the script, among those of the tape's exits."""
    window: str
    aggregate: str
    shape: str

    @property
    def cost(self) -> int:
        """How far-fetched it is."""
        return WINDOWS.get(self.window, 0) + SUMS[self.aggregate] + SHAPES[self.shape][0]

    def __str__(self) -> str:
        over = f" over {self.window}" if self.window else ""
        return f"{self.shape} {self.aggregate}{over}".strip()


class Source(NamedTuple):
    """Numbers of evaluations on the tape, and of training steps."""

    evaluations: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Origin:
    """What a printed number was computed from."""

    source: Source
    formula: Formula
    site: Site | None
    """Where the numbers left their tensors."""

    @property
    def trained(self) -> bool:
        """Whether it comes from training steps alone."""
        return bool(self.source.steps) and not self.source.evaluations

    def rows(self, tape: Tape, overlap: Overlap | None) -> Rows:
        """Which rows it was computed from; "" where that is not certain."""
        if self.trained:
            return "training batches"
        asked = [set(tape.evaluations[n].outside) for n in self.source.evaluations if n < len(tape.evaluations)]
        if overlap is None or not asked or self.source.steps:
            return ""
        if all(keys & overlap.fresh for keys in asked):
            return "rows not trained on"
        return "rows trained on" if all(keys & overlap.trained_on for keys in asked) else ""


@dataclass(frozen=True)
class Origins:
    """All numbers that left tensors, and the lines that were printed."""

    tape: Tape
    printed: Printed

    @classmethod
    def read(cls, tape: Tape) -> Origins:
        """NotApplicable where no number was seen to leave a tensor, or none was printed."""
        if not tape.facts.exits:
            raise NotApplicable("no number was seen to leave a tensor")
        return cls(tape, Printed.read(tape))

    def of(self, line: Line, place: int) -> Origin | None:
        """The origin of a number by its place in a line; None where it is not known."""
        number = line.numbers[place]
        if line.said.left < 0 or line.said.seen < 0 or not math.isfinite(number.value):
            return None
        fits = {f: s for f, (value, s) in self._all(line).items() if _is(value, number)}
        others = [other for other in self._alike(line) if other is not line]
        wrong = {f for other in others for f, (v, _) in self._all(other).items() if not _is(v, other.numbers[place])}
        sure = {f: s for f, s in fits.items() if f not in wrong}
        if not sure:
            return None
        best = min(f.cost for f in sure)
        simplest = {f: s for f, s in sure.items() if f.cost == best}
        if len({_kind(s) for s in simplest.values()}) > 1 or not self._beyond_chance(line, number, best, sure, others):
            return None
        formula, source = next(iter(simplest.items()))
        return Origin(source, formula, self.tape.facts.exits[formula.place].site)

    def at_once(self, line: Line) -> Iterator[Origin]:
        """The evaluations whose answers left as whole tensors before a line: the last ones at each place."""
        for place, exits in enumerate(self.tape.facts.exits):
            left = [one for one in exits.kept if one.order < line.said.left]
            if left and left[-1].size > 1 and left[-1].first >= 0:
                last = [one for one in left if one.after == left[-1].after and one.first >= 0]
                formula = Formula(place, "one evaluation", "recounted", "")
                yield Origin(self._source(last, len(last)), formula, exits.site)

    def _beyond_chance(
        self, line: Line, number: Number, cost: int, sure: dict[Formula, Source], others: list[Line]
    ) -> bool:
        if others or len({_kind(s) for s in sure.values()}) == 1:
            return True
        width = 2 * number.step / max(abs(number.value), 2 * number.step, 1e-300)
        return width * sum(f.cost <= cost for f in self._all(line)) <= CHANCE

    def _alike(self, line: Line) -> list[Line]:
        """The last lines of its form up to a line."""
        before = [other for other in self.printed.lines if other.form == line.form and other.said.left >= 0]
        return before[: before.index(line) + 1][-ALIKE:]

    def _all(self, line: Line) -> dict[Formula, tuple[float, Source]]:
        if id(line) not in self._known:
            self._known[id(line)] = dict(self._candidates(line))
        return self._known[id(line)]

    @cached_property
    def _known(self) -> dict[int, dict[Formula, tuple[float, Source]]]:
        return {}

    def _candidates(self, line: Line) -> Iterator[tuple[Formula, tuple[float, Source]]]:
        for place, exits in enumerate(self.tape.facts.exits):
            for window, aggregate, value, source in self._aggregates(line, exits):
                for shape, (_, turn) in SHAPES.items() if source.evaluations or source.steps else ():
                    yield Formula(place, window, aggregate, shape), (turn(value), source)

    def _aggregates(self, line: Line, exits: Exits) -> Iterator[tuple[str, str, float, Source]]:
        orders = [one.order for one in exits.kept]
        end = bisect_left(orders, line.said.left) - 1
        if end < 0 or exits.kept[end].size != 1:
            return
        newest = exits.kept[end]
        yield "", "the last", newest.value, self._source([newest], 1)
        for window, begin in self._begins(line, exits, end):
            if begin < end:
                yield from ((window, *found) for found in self._summed(exits, begin, end))

    def _begins(self, line: Line, exits: Exits, end: int) -> Iterator[tuple[str, int]]:
        """Windows by their first number, as a place among those that were kept."""
        kept, orders = exits.kept, [one.order for one in exits.kept]
        begin = end
        while begin > 0 and _same_evaluation(kept[begin - 1], kept[end]):
            begin -= 1
        yield "one evaluation", begin
        lines = self.printed.lines
        at = next(n for n, other in enumerate(lines) if other is line)
        alike = next((other for other in reversed(lines[:at]) if other.form == line.form), None)
        yield "since that line was printed", bisect_left(orders, alike.said.left) if alike else end
        yield "since a line was printed", bisect_left(orders, lines[at - 1].said.left) if at else end
        yield "the whole run", 0

    def _summed(self, exits: Exits, begin: int, end: int) -> Iterator[tuple[str, float, Source]]:
        part, kept = exits.kept[begin : end + 1], exits.kept
        before = kept[begin - 1] if begin else None
        count = kept[end].number - (before.number if before else -1)
        total = kept[end].total - (before.total if before else 0.0)
        source = self._source(part, count)
        rows = self._rows(source)
        yield "sum", total, source
        yield "mean", total / count, source
        if rows:
            yield "sum over rows", total / rows, source
        if len(part) == count:
            yield from self._weighed(part, source)

    def _weighed(self, part: tuple[Exit, ...], source: Source) -> Iterator[tuple[str, float, Source]]:
        """Aggregates that need each number."""
        sizes = [self._rows(self._source([one], 1)) for one in part]
        if all(sizes) and len(set(sizes)) > 1:
            weighed = sum(one.value * size for one, size in zip(part, sizes, strict=True))
            yield "mean by rows", weighed / sum(sizes), source
        known = [one for one in part if math.isfinite(one.value)]
        for name, pick in (("largest", max), ("smallest", min)) if known else ():
            best = pick(known, key=lambda one: one.value)
            yield name, best.value, self._source([best], 1)

    def _source(self, part: list[Exit] | tuple[Exit, ...], count: int) -> Source:
        """What numbers were computed from; between two that were kept lie the steps of those that were not."""
        asked = {n for one in part if one.first >= 0 for n in range(one.first, one.last + 1)}
        steps = {one.step for one in part if one.step >= 0}
        if len(part) < count and steps and not asked:
            steps = set(range(min(steps), max(steps) + 1))
        return Source(tuple(sorted(asked)), tuple(sorted(steps)))

    def _rows(self, source: Source) -> int:
        """How many rows the evaluations, or the batches of the steps, have together; 0 where that is not known."""
        if source.evaluations:
            sizes = [self._batch(self.tape.evaluations[n].output) for n in source.evaluations if n < self._asked]
        else:
            sizes = [self._batch(self.tape.passes[n].output) for n in source.steps if n < len(self.tape.passes)]
        return sum(sizes) if all(sizes) else 0

    @property
    def _asked(self) -> int:
        return len(self.tape.evaluations)

    def _batch(self, output: str) -> int:
        made = self.tape.tensors.get(output)
        return len(made) if made is not None and made.dim() else 0


def _same_evaluation(one: Exit, other: Exit) -> bool:
    return one.after == other.after and one.first >= 0 and other.first >= 0 and one.size == 1


def _is(value: float, number: Number) -> bool:
    return abs(value - number.value) <= number.step + ROUNDING * abs(number.value)


def _kind(source: Source) -> tuple[object, ...]:
    """Sources of one kind say the same of a number: the evaluations after one step, or training steps."""
    return (source.evaluations, bool(source.steps)) if source.evaluations else (bool(source.steps),)
