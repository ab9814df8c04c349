"""What the script prints: every number of a line, with the words before it; and what a patch changes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from unstuck.diagnosis.model import NotApplicable
from unstuck.diagnosis.skill import differs
from unstuck.tape.model import Said, Tape

NUMBER = re.compile(r"(?<![\w.@])[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?(?![\w])|\b(?:nan|inf)\b")
OF = re.compile(r"\s*/\s*(\d+)(?![\d.])")
LISTS = re.compile(r"\[[^\[\]a-zA-Z]*(?:\]|$)")
"""What may be a list of numbers; an array goes on in the next line."""
WORD = re.compile(r"[a-z]+(?:@[\d.]*\d|[0-9])?")
"""The cutoff of a ranking metric (`recall@10`) is a part of its name."""
HIGHER = {
    *("acc", "accuracy", "f1", "auc", "auroc", "r2", "score", "recall", "precision", "mcc", "kappa", "iou", "dice"),
    *("correct", "hit", "hits", "top1", "ndcg", "mrr", "bleu", "rouge", "concordance"),
    *("success", "win", "reward", "skill"),
}
"""Words for metrics that are better when higher."""
RANKS = ({"auc"}, {"auroc"}, {"rocauc"}, {"concordance"}, {"cindex"}, {"c", "index"})
"""Words that name a score of ranks together: random answers reach 0.5."""
LOWER = {"loss", "error", "err", "mse", "mae", "rmse", "nll", "perplexity", "ppl", "cost", "mape", "bce"}
"""Words for metrics that are better when lower."""


@dataclass(frozen=True)
class Number:
    """A number in a line."""

    value: float
    step: float
    """Half a unit of its last digit."""
    words: tuple[str, ...]
    """The words between the number before it and this one, in lower case."""
    of: float = 0.0
    """What it is a count of, where it is printed so: 78/1000 (0 where it is not)."""
    listed: bool = False
    """It is one of several in a list or an array: `[0.2 0.7 0.9]`."""

    @property
    def scaled(self) -> Number:
        """A count as a share of what it counts; any other number as it is."""
        return Number(self.value / self.of, self.step / self.of, self.words, 0.0, self.listed) if self.of else self

    @property
    def share(self) -> float:
        """The value as a share: of a count that of the whole; other values above 1 are per cent."""
        if self.of:
            return self.value / self.of
        return self.value / 100 if self.value > 1 else self.value

    @property
    def better(self) -> int:
        """1 if higher is better, -1 if lower is better, 0 if the words do not say."""
        words = set(self.words)
        ranking = any("@" in word for word in words)  # precision, recall, hit rate, NDCG, ... of the first k
        higher = ranking or bool(HIGHER & words) or any(names <= words for names in RANKS)
        return higher - bool(LOWER & words)


@dataclass(frozen=True)
class Line:
    """A line that was printed."""

    said: Said
    form: str
    """The line with # in place of its numbers."""
    numbers: tuple[Number, ...]


@dataclass(frozen=True)
class Printed:
    """All lines with numbers, in order."""

    lines: tuple[Line, ...]

    @classmethod
    def read(cls, tape: Tape) -> Printed:
        """Read the lines on a tape; NotApplicable if no number was printed."""
        if not tape.said:
            raise NotApplicable("no printed line with a number was recorded")
        return cls(tuple(_line(s) for s in tape.said))

    @classmethod
    def of(cls, text: str) -> Printed:
        """The lines with numbers of a program's whole output."""
        lines = (line.rpartition("\r")[2] for line in text.splitlines())
        return cls(tuple(_line(Said(0, 0, -1, line)) for line in lines if NUMBER.search(line)))

    def last(self) -> dict[str, Line]:
        """The last line of each form."""
        return {line.form: line for line in self.lines}


@dataclass(frozen=True)
class Change:
    """A metric in the last line of one form, as two scripts print it."""

    words: str
    old: float
    new: float
    gain: float
    """Of a score its rise (per cent as shares); of a loss the relative fall."""
    room: float
    """The gain that would lead to perfection."""
    score: bool
    """Higher is better."""

    def __str__(self) -> str:
        return f"printed {self.words} {self.old:g} before, {self.new:g} after"


def changes(before: Tape, after: Tape) -> Iterator[Change]:
    """The metrics that both scripts print last in the same form; NotApplicable if either prints no number."""
    old, new = Printed.read(before).last(), Printed.read(after).last()
    for form in old:
        pairs = zip(old[form].numbers, new[form].numbers, strict=True) if form in new else ()
        yield from (change for was, now in pairs if (change := _change(was, now)) is not None)


def improved(before: Tape, after: Tape) -> str | None:
    """The printed metric that is better after the patch; None if none is, or another is worse."""
    try:
        found = list(changes(before, after))
    except NotApplicable:
        return None
    best = max(found, key=lambda c: c.gain, default=None)
    if best is None or not differs(0.0, best.gain) or any(differs(c.gain, 0.0) for c in found):
        return None
    return str(best)


def _change(was: Number, now: Number) -> Change | None:
    was, now = was.scaled, now.scaled
    words, largest = " ".join(was.words), max(abs(was.value), abs(now.value))
    if was.better > 0 and largest <= 100:
        unit = 100 if largest > 1 else 1
        return Change(words, was.value, now.value, (now.value - was.value) / unit, 1 - was.value / unit, True)
    if was.better < 0 and was.value > 0 and now.value >= 0:
        return Change(words, was.value, now.value, (was.value - now.value) / was.value, 1.0, False)
    return None


def _line(said: Said) -> Line:
    return Line(said, NUMBER.sub("#", said.line), tuple(_numbers(said.line)))


def _numbers(line: str) -> Iterator[Number]:
    end = 0
    lists = [m.span() for m in LISTS.finditer(line) if len(NUMBER.findall(m.group())) > 1]
    for found in NUMBER.finditer(line):
        text = found.group()
        mantissa, _, power = text.lower().partition("e")
        decimals = len(mantissa.partition(".")[2])
        step = 0.5 * 10.0 ** (int(power or 0) - decimals) if text[-1].isdigit() or text[-1] == "." else 0.0
        of = OF.match(line, found.end()) if text.isdigit() else None
        whole = float(of[1]) if of is not None and float(of[1]) >= max(1.0, float(text)) else 0.0
        words = tuple(WORD.findall(line[end : found.start()].lower()))
        listed = any(low <= found.start() < high for low, high in lists)
        yield Number(float(text), step, words, whole, listed)
        end = found.end()
