"""Experiments with the recorded rows: other batches of them, or another loss on them.

* `halves`: trained on one half of the rows, asked about both. Rows that are learnt and not generalised from have labels
  that do not belong to them.
* `mixed`: trained on the rows as they came and in random order, asked about rows from everywhere.
* `classes`: targets that are whole numbers, learnt as numbers and as classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
import torch

from unstuck.diagnosis.experiment import Word
from unstuck.diagnosis.model import NotApplicable, Remedy
from unstuck.diagnosis.skill import SHORTEST, SHOWS, differs, healed, settled, worth_having
from unstuck.remedies.treatment import Trial
from unstuck.replay.as_classes import AsClasses
from unstuck.replay.bench import Bench, as_written
from unstuck.replay.extent import UNPLAYABLE
from unstuck.replay.lanes import LANES
from unstuck.replay.redrawing import ASKED, Redrawn
from unstuck.replay.run import LaneResult, course_of
from unstuck.signals.samples import Samples
from unstuck.tape.model import Pass

UNKNOWN = SHOWS / 2
"""Skill on rows it was not trained on, up to which it knows nothing of them: chance is below 0.03 over hundreds."""
AGAIN = 1.5
"""Times that each row of a course comes, on average, from which on a network may learn rows by heart."""
FEWEST = 80
"""Distinct rows below which one half says nothing of the other: chance hides a skill of 0.3 on forty of two classes."""
BETTER = 0.2
"""Share of right answers that classes must add to rounded numbers."""


@dataclass(frozen=True)
class Shown:
    """What an experiment with the rows shows; `before` and `after` are what it compares."""

    word: Word
    why: str
    before: float
    after: float
    lanes: int = LANES
    steps: int = 0


def resampled(kind: str, bench: Bench) -> Shown:
    """Make the experiment of that name. Raises NotApplicable if the rows cannot be told apart or replayed."""
    shown = {"halves": halves, "mixed": mixed, "classes": classes}[kind](bench)
    return replace(shown, steps=len(bench.course.passes), lanes=bench.lanes)


def halves(bench: Bench) -> Shown:
    """Train on one half of the rows and ask about both; equal rows fall into the same half."""
    if (distinct := Samples.read(bench.tape).distinct) < FEWEST:
        raise NotApplicable(f"{distinct} distinct rows are too few to ask about one half of them")
    return _halves(bench, as_written(bench.tape))


def unseen(bench: Bench, remedies: Sequence[Remedy]) -> Shown:
    """The same of a treated run. Raises NotApplicable where a course gives no row twice: then all skill is on new rows.

    "helps" is what learns its rows by heart, and nothing of others.
    """
    rows = Redrawn.of(bench.tape, bench.main, bench.course.passes)
    given = sum(rows.size(p) for p in bench.course.passes if p.program == bench.main)
    if given < AGAIN * (int(rows.group.max()) + 1):
        raise NotApplicable("hardly a row comes twice")
    return _halves(bench, bench.treated(remedies))


def _halves(bench: Bench, trial: Trial) -> Shown:
    rows = Redrawn.of(bench.tape, bench.main, bench.course.passes)
    contents = int(rows.group.max()) + 1
    order = torch.randperm(contents, generator=rows.generator)
    first = torch.zeros(contents, dtype=torch.bool)
    first[order[: contents // 2]] = True
    ours, others = (half.nonzero().flatten() for half in (first[rows.group], ~first[rows.group]))
    train = lambda p: rows.batch(p, rows.drawn(rows.size(p), ours))
    seen, new = learnt(bench, rows, train, rows.asked(ours), rows.asked(others), trial=trial)
    why = f"trained on half of the rows, skill is {seen:.2f} on them and {new:.2f} on the others"
    if new > UNKNOWN:
        return Shown("no-difference", why, new, seen)
    long = len(bench.course.passes) >= SHORTEST  # in fewer steps, hard rows are known before what they have in common
    by_heart = long and seen >= SHOWS and seen - new >= SHOWS
    return Shown("helps" if by_heart else "undecided", why, new, seen)


def mixed(bench: Bench) -> Shown:
    """Train on the rows as they came and in random order; the same rows and questions in both."""
    rows = Redrawn.of(bench.tape, bench.main, bench.course.passes)
    asked = rows.asked(rows.everything)
    (came,) = learnt(bench, rows, lambda p: p, asked)
    (drawn,) = learnt(bench, rows, lambda p: rows.batch(p, rows.drawn(rows.size(p), rows.everything)), asked)
    why = f"skill is {drawn:.2f} with shuffled rows and {came:.2f} in the recorded order"
    if worth_having(came, drawn):
        return Shown("heals" if healed(came, drawn) else "helps", why, came, drawn)
    return Shown("undecided" if differs(came, drawn) or drawn < SHOWS else "no-difference", why, came, drawn)


def classes(bench: Bench) -> Shown:
    """Learn whole-number targets as numbers and as classes."""
    both = AsClasses.of(bench)
    why = f"one output per class is right on {both.named:.0%} of the rows, the rounded output on {both.rounded:.0%}"
    better = settled(both.skill) and both.named - both.rounded >= BETTER
    return Shown("heals" if better else "no-difference", why, both.rounded, both.named)


def learnt(
    bench: Bench, rows: Redrawn, train: Callable[[Pass], Pass], *asked: tuple[Pass, ...], trial: Trial | None = None
) -> list[float]:
    """Train, as written or in another trial, on these passes; skill on each kind of questions, median over lanes."""
    passes = (*map(train, bench.course.passes), *(p for kind in asked for p in kind))
    scored = _trained(bench, rows, passes, trial or as_written(bench.tape)).rows[-ASKED * len(asked) :]
    kinds = [torch.stack(scored[i * ASKED : (i + 1) * ASKED]).sum(0) for i in range(len(asked))]
    yard = bench.yardstick
    return [float(yard.skill(yard.score(kind)).median()) for kind in kinds]


def _trained(bench: Bench, rows: Redrawn, passes: tuple[Pass, ...], trial: Trial) -> LaneResult:
    updates = tuple(u for u in bench.tape.updates if u.after <= len(bench.course.passes))
    tape = msgspec.structs.replace(rows.with_passes(passes), updates=updates)
    course = course_of(tape, passes, bench.main, bench.yardstick, bench.task)
    try:
        result = bench.trained(trial.with_(tape=tape), course, 3.0)
    except UNPLAYABLE as error:
        raise NotApplicable("other batches could not be replayed") from error
    if result.stopped or not result.rows:
        raise NotApplicable("other batches could not be replayed in time")
    return result
