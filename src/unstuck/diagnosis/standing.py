"""How a run stands: beside what its rows hold, beside rows that it was not trained on, and beside another run."""

from __future__ import annotations

from collections.abc import Sequence

from unstuck.diagnosis.experiment import Experiment, Headroom, PrintedScore, Run
from unstuck.diagnosis.model import Finding
from unstuck.diagnosis.skill import LEAST, apart, below, differs, learns, settled, stuck


def headroom_of(log: Sequence[Experiment]) -> Headroom | None:
    """What simple learners reach on the recorded rows, if a log holds it."""
    return next((e.headroom for e in log if e.headroom is not None), None)


def related(finding: Finding, headroom: Headroom | None) -> bool:
    """Whether a finding says that labels are unrelated to their rows, and a simple learner predicts them."""
    return "halves" in finding.settles and headroom is not None and learns(headroom.skill(headroom.interval[0]))


def is_below(headroom: Headroom | None, skill: float | None = None) -> bool:
    """Whether the rows hold clearly more than a run gets out of them, or than a skill that a treated one reaches."""
    if headroom is None:
        return False
    run = headroom.skill(headroom.run)
    return below(run if skill is None else max(run, skill), run + headroom.gain[0])


def nothing_beats(headroom: Headroom | None) -> bool:
    """Whether no simple learner gets more out of the rows than the best constant answer."""
    return headroom is not None and stuck(headroom.skill(headroom.baseline))


def at_ceiling(headroom: Headroom | None) -> bool:
    """Whether the rows hold something beyond doubt, and a run gets as much out of them as the best simple learner."""
    if headroom is None:
        return False
    more = headroom.gain[1]
    return more < LEAST and headroom.skill(headroom.interval[0]) - max(0.0, more) > 0


def by_heart(run: Run) -> bool:
    """Whether it knows the rows it was trained on, and nothing of those of its last evaluation."""
    return run.evaluation is not None and learns(run.known) and stuck(run.evaluation)


def gapped(run: Run, headroom: Headroom | None) -> bool:
    """Whether it knows its training rows much better than those of its last evaluation, of which learners know more.

    More steps would close no such gap: what is missing is what the rows have in common.
    """
    if headroom is None or not headroom.held or not run.judged:
        return False
    return is_below(headroom) and apart(run.known, headroom.skill(headroom.run))


def counted(before: Run, after: Run) -> tuple[float, float]:
    """The skills that two runs are compared by: where the first knows only its own rows, what both show of others.

    That is the score that both print, else their last evaluations. So it is where the first knows something of other
    rows, and the second knows its own rows better alone.
    """
    was, now = _printed(before, after)
    if was is not None and now is not None and apart(before.known, was.skill):
        return was.skill, now.skill
    if before.evaluation is None or after.evaluation is None:
        return before.known, after.known
    by_heart_alone = learns(before.evaluation) and apart(after.known, after.evaluation)
    if apart(before.known, before.evaluation) or by_heart_alone:
        return before.evaluation, after.evaluation
    return before.known, after.known


def of_others(before: Run, after: Run) -> tuple[str, float, float]:
    """What two runs show of rows that they were not trained on, and what that is: the score that both print, which is
    of all of these rows, else their last evaluations, of which few rows may be on the tape; 0 where they show none."""
    was, now = _printed(before, after)
    if was is not None and now is not None:
        return f"skill by the printed {was.label}", was.skill, now.skill
    if before.evaluation is None or after.evaluation is None:
        return "", 0.0, 0.0
    return "skill on its last evaluation", before.evaluation, after.evaluation


def _printed(before: Run, after: Run) -> tuple[PrintedScore | None, PrintedScore | None]:
    """The scores of other rows than the training's that two runs print under the same words."""
    was, now = before.scores.printed, after.scores.printed
    if was is None or now is None or was.label != now.label or was.of_training or now.of_training:
        return None, None
    return was, now


def still_prints(before: Run, after: Run) -> bool:
    """Whether the score that a run prints is poor, and no better in another run: then that run healed nothing.

    A score that is certain to be of rows not trained on is poor below what settles a run; any other, at chance.
    """
    was, now = before.scores.printed, after.scores.printed
    if was is None or now is None or differs(was.skill, now.skill):
        return False
    best = max(was.skill, now.skill)
    return not (settled(best) if was.held_out and now.held_out else learns(best))
