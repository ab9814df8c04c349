"""The repair: remedies written into the sources, and the patched script's own run as the last word."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from unstuck.diagnosis.model import Finding, NotApplicable, Patch, Remedy, Site, Word
from unstuck.diagnosis.patch import diff
from unstuck.diagnosis.rerun import Rehearsal, Rehearsals
from unstuck.diagnosis.verdict import FOLD, LEARNS, POOR, ROOM, STUCK
from unstuck.remedies.treatment import CannotEdit
from unstuck.signals.evaluation import FinalEvaluation
from unstuck.signals.learning import Learning
from unstuck.source.text import Sources
from unstuck.tape.model import Tape

Say = Callable[[str], None]
Answer = tuple[Remedy, tuple[str, ...]]
"""A remedy and the faults it answers."""
CLEARLY = 0.15
"""Two single runs differ by luck: only from this difference in skill on does one count as better."""
NO_WORSE = -0.1


@dataclass
class Repair:
    """Changed sources, the remedies in them, and what became of them."""

    original: Tape
    sources: Sources
    answers: list[Answer] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rehearsal: Rehearsal | None = None
    learning: Learning | None = None

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """What stands in the patch."""
        return tuple(remedy for remedy, _ in self.answers)

    @property
    def faults(self) -> tuple[str, ...]:
        """What it answers."""
        return tuple(dict.fromkeys(fault for _, faults in self.answers for fault in faults))

    @property
    def ran(self) -> bool:
        """The patched script went through."""
        return self.rehearsal is not None and self.rehearsal.ran

    def patch(self, proven: bool) -> Patch | None:
        """The diff from the person's own files."""
        text = diff(self.original.sources, self.sources.files)
        if not text:
            return None
        order = ("safe", "likely", "advice")
        trust = max((remedy.trust for remedy in self.remedies), key=order.index)
        return Patch(trust, proven, text, tuple(remedy.name for remedy in self.remedies))


def edited(original: Tape, sources: Sources, answers: Sequence[Answer]) -> Repair:
    """The sources with every remedy that finds its place; the others become notes."""
    repair = Repair(original, sources)
    for remedy, faults in answers:
        try:
            repair.sources = remedy.edit(repair.sources)
            repair.answers.append((remedy, faults))
        except CannotEdit as reason:
            repair.notes.append(f"{remedy.name} was not written into the patch: {reason}")
        except Exception as error:  # an edit that fails costs its remedy, not the report
            reason = f"{type(error).__name__}: {error}"
            repair.notes.append(f"{remedy.name} was not written into the patch: {reason}"[:200])
    return repair


def rehearsed(repair: Repair, rehearsals: Rehearsals, say: Say) -> Repair:
    """The repair with the patched script's own run."""
    say("running the patched script: " + ", ".join(r.summary() for r in repair.remedies))
    try:
        done = rehearsals.of(repair.original, repair.sources.files)
    except OSError as reason:
        return replace(repair, notes=[*repair.notes, f"the patched script was not run: {reason}"])
    if done.tape is not None:  # its tape speaks of the copy; what follows is about the person's own folder
        done.tape.folder = repair.original.folder
        done.tape.facts["command"] = repair.original.facts.get("command")
    return replace(repair, rehearsal=done, learning=done.learning)


def skill(learning: Learning | None) -> float:
    """The skill a run ended with; 0 where it never trained or broke."""
    if learning is None or (learning.task.kind == "unknown" and learning.broke):
        return 0.0
    return learning.final


def word(before: Learning | None, repair: Repair) -> Word:
    """A verdict from two single runs."""
    if not repair.ran or repair.learning is None:
        return "not-tried"
    old, new = max(skill(before), 0.0), skill(repair.learning)
    if new - old < CLEARLY:
        return "no-difference" if new - old > -CLEARLY else "harms"
    healed = new >= LEARNS and (new - old >= ROOM * (1 - old) or old <= STUCK or (old < POOR and new >= FOLD * old))
    return "heals" if healed else "helps"


def reported(before: Tape, repair: Repair) -> tuple[FinalEvaluation, FinalEvaluation] | None:
    """The last evaluation of both scripts, scored by us; None where one of them cannot be."""
    after = repair.rehearsal.tape if repair.rehearsal is not None else None
    try:
        return (FinalEvaluation.read(before), FinalEvaluation.read(after)) if after is not None else None
    except NotApplicable:
        return None


def story(before: Learning | None, repair: Repair) -> str:
    """What the patched script did, in one sentence ("" where it was not run)."""
    if repair.rehearsal is None:
        return ""
    if not repair.ran:
        code = repair.rehearsal.code
        how = "took too long" if code is None else f"ended with exit code {code}"
        return f"the patched script {how}: {repair.rehearsal.last_words}"
    after = repair.learning
    if after is None or after.score is None:
        return f"the patched script ran to its end; its last line: {repair.rehearsal.last_words}"
    was = "unknown" if before is None or before.score is None else f"{before.score:.3f}"
    return f"the patched script, run for itself: {after.yardstick.name} {was} before, {after.score:.3f} after"


def at_home(finding: Finding, patched: str, original: str) -> Finding:
    """A finding on patched sources, with its line as the person's own file counts."""
    if finding.site is None:
        return finding
    return msgspec.structs.replace(finding, site=_line_at_home(finding.site, patched, original))


def _line_at_home(site: Site, patched: str, original: str) -> Site:
    for tag, a, _, b, b_end in difflib.SequenceMatcher(
        None, original.splitlines(), patched.splitlines(), autojunk=False
    ).get_opcodes():
        if b < site.line <= b_end:
            line = a + 1 + (min(site.line - b - 1, 10**9) if tag == "equal" else 0)
            return msgspec.structs.replace(site, line=line, end_line=-1, column=-1, end_column=-1)
    return site
