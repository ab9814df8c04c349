"""What to try next: a pure function of findings, log and budget. No torch, no files, no clock.

On the tape of the recorded run, and then on that of the best patched run for as long as something hides behind:

0. micro-experiments on one or two recorded steps, cheap ones first, on the recorded run only;
1. what simple learners reach on the recorded rows, and experiments with these rows that rules name
   (`Finding.settles`);
2. replays: remedies are screened, the best replayed over the whole course, combined and pruned (`search`);
3. a sweep of learning rates, where nothing has healed the run;
4. the patched script, run for itself, with what replay proved and what is written in the text; where replay could
   not tell, patched scripts alone decide, the most upstream suspect first;
5. a recount of what both scripts print, for faults that leave the training as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unstuck.diagnosis.experiment import Experiment, Request
from unstuck.diagnosis.level import Level
from unstuck.diagnosis.log import Book, Budget, Needed, Patched
from unstuck.diagnosis.model import Finding


@dataclass(frozen=True)
class Choice:
    """What the log settles: the effective replay, and the patched run that was chosen."""

    replay: Experiment | None = None
    rerun: Experiment | None = None
    inner: Choice | None = None
    """What was found behind it, on the patched run's own tape."""

    @property
    def last(self) -> Experiment | None:
        """The patched run that the patch is taken from."""
        return (self.inner.last if self.inner is not None else None) or self.rerun


def plan(findings: Sequence[Finding], log: Sequence[Experiment], budget: Budget) -> Request | None:
    """The next experiment; None where the log settles what can be settled."""
    return foresight(findings, log, budget)[0]


def foresight(
    findings: Sequence[Finding], log: Sequence[Experiment], budget: Budget
) -> tuple[Request | None, Request | None]:
    """The next experiment, and a rerun that will probably be asked for after it."""
    book = Book(findings, log, budget)
    try:
        choose(book)
    except Needed as needed:
        return needed.request, book.foreseen
    return None, None


def settle(findings: Sequence[Finding], log: Sequence[Experiment], budget: Budget) -> Choice:
    """What a finished log settles; experiments that are missing count as not tried."""
    return choose(Book(findings, log, budget, closed=True))


def choose(book: Book, behind: Patched = (), round: int = 1) -> Choice:
    """The choice on one tape, and on the tapes of the patched runs that it leads to."""
    if book.run(behind) is None:
        return Choice()
    level = Level(book, behind)
    if not behind:
        level.micro()
    if not book.budget.prove:
        return Choice()
    level.baseline()
    level.resample()
    replay = level.search()
    rerun = level.rerun(replay)
    if rerun is None:
        return Choice(replay)
    level.recount(rerun)
    if round < book.budget.rounds and level.hides_something(rerun):
        inner = choose(book, (*behind, *rerun.request.remedies), round + 1)
        if inner.rerun is not None and level.gains(rerun, inner.rerun):
            return Choice(replay, rerun, inner)
    return Choice(replay, rerun)
