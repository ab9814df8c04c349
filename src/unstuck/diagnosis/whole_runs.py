"""How a whole run went, by its tape; and what a run of the patched script shows beside the run as written."""

from __future__ import annotations

import math
from typing import TypeVar

import msgspec

from unstuck.diagnosis.experiment import Arm, Experiment, PrintedScore, Run, Scores, Word
from unstuck.diagnosis.rerun import PatchedRun
from unstuck.diagnosis.skill import LEAST, WORTH, healed, settled
from unstuck.diagnosis.standing import by_heart, counted, of_others, still_prints
from unstuck.signals.evaluation import FinalEvaluation
from unstuck.signals.final_number import FinalNumber
from unstuck.signals.held_out import HeldOut
from unstuck.signals.learning import Learning
from unstuck.signals.overlap import Overlap
from unstuck.signals.rates import Rates
from unstuck.signals.task import alternate
from unstuck.tape.model import Tape

Reading = TypeVar("Reading", Learning, FinalEvaluation, FinalNumber, Overlap, Rates)
DENIES = " (contained by Landlock, which denies connections and what programs other than Python write)"
"""Said of a patched script that failed under it: that may be why."""


def run_of(tape: Tape, ended: bool | None = None) -> Run:
    """How the run on a tape went."""
    error = str(tape.error.get("message", "failed")) if tape.error else ""
    whole = not error if ended is None else ended
    learning, exam = _read(Learning, tape), _read(FinalEvaluation, tape)
    if learning is None:
        return Run(whole, error=error, cut=tape.cut, broke=ends_broken(tape))
    return Run(
        ended=whole, skill=learning.final, curve=learning.skill, score=learning.score, passes=len(tape.passes),
        task=learning.task.kind, broke=learning.broke or ends_broken(tape), adrift=learning.adrift,
        turns=alternate(tape), flat=learning.task.flat or learning.yardstick.flat, error=error,
        cut=tape.cut, seeded=tape.facts.seeded, warming=tape.cut and _warming(tape),
        evaluation=exam.skill if exam is not None else None, scores=scores_of(tape, learning),
        ranks=learning.ranking.area if learning.ranking is not None and learning.ranking.certain else None,
    )  # fmt: skip


def ends_broken(tape: Tape) -> bool:
    """Whether the last loss of the run, of whatever program, is NaN or infinite."""
    return bool(tape.losses) and not math.isfinite(tape.losses[-1])


def scores_of(tape: Tape, learning: Learning) -> Scores:
    """The run's training score, its score on rows that were held out, and the one that it prints."""
    overlap, said = _read(Overlap, tape), _read(FinalNumber, tape)
    held = _held_out(tape, overlap) if overlap is not None else None
    return Scores(learning.score, held, _printed(tape, said, overlap) if said is not None else None)


def _held_out(tape: Tape, overlap: Overlap) -> float | None:
    try:
        return HeldOut.of(tape, overlap).score
    except Exception:
        return None


def _printed(tape: Tape, said: FinalNumber, overlap: Overlap | None) -> PrintedScore:
    file, line = (said.site.file, said.site.line) if said.site is not None else ("", None)
    rows = said.origin.rows(tape, overlap) if said.origin is not None else ""
    return PrintedScore(said.label, said.value, said.skill, file, line, rows, said.confirmed)


def _warming(tape: Tape) -> bool:
    rates = _read(Rates, tape)
    return rates is not None and rates.rising


def _read(kind: type[Reading], tape: Tape) -> Reading | None:
    """A reading of a tape; None if it cannot be taken, whatever the reason: a failure must not cost the report."""
    try:
        return kind.read(tape)
    except Exception:
        return None


def rerun_of(kept: Experiment, before: Run, done: PatchedRun) -> Experiment:
    """What the patched script's own run shows."""
    if done.tape is None or not done.ran:
        stopped = f"was stopped: {done.broken or 'it took too long'}"
        how = stopped if done.code is None else f"ended with exit code {done.code}"
        said = f": {done.last_line}" if done.last_line else ""
        said += DENIES if done.means == "landlock" and done.code else ""
        run = run_of(done.tape, ended=False) if done.tape is not None else None
        return msgspec.structs.replace(kept, why=f"the patched script {how}{said}", run=run)
    after = run_of(done.tape, ended=True)
    word, why = compared(before, after)
    told = "" if after.score is not None else f"; its last line: {done.last_line}"
    arms = {"without": Arm(lanes=(before.known,)), "treated": Arm(lanes=(after.known,))}
    return msgspec.structs.replace(kept, word=word, why=why + told, run=after, power="one run each", lanes=1, **arms)


def compared(before: Run, after: Run) -> tuple[Word, str]:
    """A verdict from two single runs, and the numbers it rests on."""
    old_score = f"{before.score:.3f}" if before.score is not None else "unknown"
    new_score = f"{after.score:.3f}" if after.score is not None else "unknown"
    why = f"the patched script, run for itself: {old_score} before, {new_score} after"
    if before.error:
        return "heals", f"the script stopped with an error; the patched script runs through ({new_score})"
    if still_prints(before, after):
        return "undecided", f"{why}, but it still prints {after.scores.printed} ({before.scores.printed} before)"
    counts = counted(before, after)
    if counts[0] != before.known:
        why += f"; skill on its last evaluation: {counts[0]:.3f} before, {counts[1]:.3f} after"
    old, new = max(counts[0], 0.0), counts[1]
    if by_heart(after) and not by_heart(before):
        return "undecided", f"{why}, but skill on its last evaluation is {after.evaluation:.3f}: it learns by heart"
    if new - old >= WORTH:
        return "heals" if healed(old, new) else "helps", why
    if new - counts[0] <= -WORTH:
        return "harms", why
    what, was, now = of_others(before, after)
    if now - was >= LEAST:
        return "heals" if healed(was, now) else "helps", f"{why}; {what}: {was:.3f} before, {now:.3f} after"
    return "no-difference" if settled(old) and settled(new) else "undecided", why
