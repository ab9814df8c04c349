"""Conduct a trial: one pair of runs after the other, until the answer is in or the bound is reached."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from statistics import fmean

from msgspec.structs import replace

from unstuck.diagnosis.skill import LEAST
from unstuck.signals.own_number import Label, Scale, Way, alike, asked_for, in_common, scale, shared
from unstuck.signals.printed import Printed
from unstuck.trial.change import Change
from unstuck.trial.model import Better, Measure, Pair, Trial, Word
from unstuck.trial.runs import STRIDE, Job, Outcome, Runs
from unstuck.trial.sequential import PAIRS, Evidence, looks, weigh

Say = Callable[[str], None]


class Untried(Exception):
    """Nothing can be said: the original script fails, or nothing can be compared; the message says why."""


@dataclass(frozen=True)
class Terms:
    """How far to go."""

    pairs: int = PAIRS
    worth: float = LEAST
    """The difference worth having, on the scale of scores."""
    better: Way = 0
    """Which way the printed number is better; 0: as its words say."""
    by: str = ""
    """Words before the printed number to compare by; "": the last number."""
    uncontained: bool = False


DEFAULT = Terms()


def conduct(job: Job, change: Change, terms: Terms = DEFAULT, say: Say = lambda _: None) -> Trial:
    """The trial of a change. Raises Untried, and NotContained where the programs cannot be contained here."""
    began = time.monotonic()
    with closing(Runs(job, change, terms.uncontained)) as runs:
        runs.prepare(2)
        trial = _Court(runs, terms, say).trial(job.path or job.module or "", change.said)
    return replace(trial, seconds=time.monotonic() - began)


class _Ended(Exception):
    """The trial ends before the numbers say anything."""

    def __init__(self, word: Word, why: str) -> None:
        super().__init__(why)
        self.word: Word = word


class _Court:
    """The pairs of one trial, and what they are compared by."""

    def __init__(self, runs: Runs, terms: Terms, say: Say) -> None:
        self._runs, self._terms, self._say = runs, terms, say
        self._pairs: list[tuple[Outcome, Outcome]] = []
        self._label: Label | None = None
        self._values: list[tuple[float, float]] = []
        self._scale = Scale("share", 1)

    def trial(self, name: str, said: str) -> Trial:
        """Pairs until the answer is in."""
        kept = Trial(name, said, "undecided", "", most=self._terms.pairs, worth=self._terms.worth)
        try:
            self._begin()
            evidence = self._evidence()
            while evidence is None and len(self._pairs) < self._terms.pairs:
                self._next()
                evidence = self._evidence()
        except _Ended as end:
            return self._told(replace(kept, word=end.word, why=str(end)))
        assert evidence is not None  # the bound is a look
        return self._told(self._concluded(kept, evidence))

    def _begin(self) -> None:
        """The first pair, and what is compared: a printed number whose direction is known, else the skill of the
        recorded training, else a printed number without a direction."""
        self._next(ahead=2)
        label = self._chosen(*(outcome.printed for outcome in self._pairs[0]))
        if label is None or not (label.better or self._terms.by):
            self._pairs.clear()
            self._next(recorded=True, ahead=2)
            label = label if any(_skill(outcome) is None for outcome in self._pairs[0]) else None
        self._label = label
        self._count()
        if label is not None:
            self._scale = scale(label.better or 1, self._values[0])

    def _chosen(self, before: Printed, after: Printed) -> Label | None:
        """The printed number to compare by."""
        by, better = self._terms.by, self._terms.better
        if not by and not better:
            return shared(before, after)
        found = in_common(before, after)
        label = asked_for(found, by, better)
        if by and label is None:
            said = ", ".join(dict.fromkeys(f'"{other.words}"' for other in found)) or "none"
            raise Untried(f'no number that both programs print has the words "{by}" before it (they print: {said})')
        return label

    def _next(self, recorded: bool = False, ahead: int = 0) -> None:
        number = len(self._pairs)
        so_far = "; ".join(f"{before:.4g} as written, {after:.4g} changed" for before, after in self._values)
        said = f"pair {number + 1} of at most {self._terms.pairs}: both programs, seeds shifted alike"
        self._say(f"{said} (so far: {so_far})" if so_far else said)
        self._pairs.append(self._runs.pair(number, recorded or (number > 0 and self._label is None), ahead))
        original, changed = self._pairs[-1]
        if not original.ran and number == 0:
            raise Untried(f"the original script fails: {original.ending}")
        if not original.ran:
            raise _Ended("undecided", f"the original script fails from other seeds: {original.ending}")
        if not changed.ran:
            raise _Ended("harms", f"the changed script fails: {changed.ending}")
        if number:
            self._count()

    def _count(self) -> None:
        """Read the numbers of the last pair."""
        before, after = (self._value(outcome) for outcome in self._pairs[-1])
        if (before is None or after is None) and not self._values:
            raise Untried("the programs print no number in common, and their training cannot be scored")
        if before is None or after is None:
            raise _Ended("undecided", "a later run gave no number to compare")
        self._values.append((before, after))

    def _value(self, outcome: Outcome) -> float | None:
        return _skill(outcome) if self._label is None else self._label.value(outcome.printed)

    def _evidence(self) -> Evidence | None:
        """What the numbers show, once that is enough or the bound is reached; None where another pair is needed."""
        pairs, terms = len(self._pairs), self._terms
        if pairs not in looks(terms.pairs):
            return None
        evidence = weigh(*self._scores(), terms.pairs, terms.worth)
        return evidence if evidence.answer != "open" or self._same() or pairs >= terms.pairs else None

    def _scores(self) -> tuple[list[float], list[float]]:
        """Of the original program and of the changed one, pair by pair."""
        score = self._scale.score
        return [score(before) for before, _ in self._values], [score(after) for _, after in self._values]

    def _same(self) -> bool:
        return self._label is not None and alike([(a.printed, b.printed) for a, b in self._pairs])

    def _concluded(self, kept: Trial, evidence: Evidence) -> Trial:
        same = evidence.answer == "open" and self._same()
        word, why = ("no-difference", SAME) if same else self._word(evidence)
        interval = (0.0, 0.0) if same else evidence.interval
        return replace(
            kept, word=word, why=f"{why}, in {evidence.pairs} pairs of runs", measure=self._measure(), p=evidence.p,
            difference=evidence.difference, interval=interval,
        )  # fmt: skip

    def _word(self, evidence: Evidence) -> tuple[Word, str]:
        worth = f"{self._terms.worth:g}"
        if evidence.answer in ("better", "worse") and self._label is not None and not self._label.better:
            way = "higher" if evidence.answer == "better" else "lower"
            return "undecided", f"the number is {way}, {UNDIRECTED}"
        if evidence.answer == "better":
            before, after = map(fmean, self._scores())
            return ("heals" if self._scale.healed(before, after) else "helps"), "the number is better"
        if evidence.answer == "worse":
            return "harms", "the number is worse"
        if evidence.answer == "same":
            return "no-difference", f"the interval excludes a difference of {worth} either way"
        return "undecided", f"the interval allows both no difference and one of {worth} or more"

    def _measure(self) -> Measure:
        label, kind = self._label, self._scale.kind
        if label is None:
            return Measure("skill", "", "higher", "0 is the best constant answer, 1 perfection", kind)
        return Measure(label.words, label.form, WAYS[label.better], label.because, kind)

    def _told(self, trial: Trial) -> Trial:
        first = self._pairs[0][0]
        pairs = tuple(Pair(n * STRIDE, a, b) for n, (a, b) in enumerate(self._values))
        return replace(trial, pairs=pairs, seeds=first.seeds, contained=first.means, notes=tuple(self._notes(trial)))

    def _notes(self, trial: Trial) -> Iterator[str]:
        """That another number moves one way in every pair, though its words do not say which way is better."""
        label = next((found for found in in_common(*(o.printed for o in self._pairs[0])) if not found.better), None)
        if (
            label is None
            or label == self._label
            or trial.word not in ("no-difference", "undecided")
            or len(self._pairs) < NOTED
        ):
            return
        values = [(label.value(a.printed), label.value(b.printed)) for a, b in self._pairs]
        moved = {math.copysign(1, b - a) if b != a else 0 for a, b in values if a is not None and b is not None}
        if len(moved) == 1 and moved <= {1, -1}:
            (before, after), way = values[0], "higher" if moved == {1} else "lower"
            yield (
                f'"{label.form}" is {way} in every pair ({before:.4g} -> {after:.4g} in the first), {UNDIRECTED}; '
                f"--by '{label.words}' compares it"
            )


NOTED = 4
"""Fewest pairs in which a number that moves one way each time is worth a note: by chance one trial in eight."""
WAYS: dict[Way, Better] = {1: "higher", -1: "lower", 0: "unknown"}
UNDIRECTED = "and its words do not say which way is better (--higher-is-better, --lower-is-better)"
SAME = "both programs print the same numbers from the same seeds, and others from other seeds"


def _skill(outcome: Outcome) -> float | None:
    """What the recorded training and its last evaluation show; None where that cannot be scored."""
    from unstuck.diagnosis.whole_runs import run_of

    run = run_of(outcome.tape) if outcome.tape is not None else None
    return run.shown if run is not None and run.judged else None
