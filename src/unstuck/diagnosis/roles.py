"""What each finding is to the person: cause, suspect, consequence or hint. Pure functions of findings and the log.

Three grades: how a fact is known (observed, read, guessed), what it does to this run (proven, refuted, undecided), and
the state of the run. `role` is the table that joins them.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from unstuck.diagnosis.experiment import Experiment, Headroom, Recount, Replay, Rerun, Resample, Run, Scores
from unstuck.diagnosis.level import ended
from unstuck.diagnosis.log import latest, upstream
from unstuck.diagnosis.model import Effect, Finding, Known, Role, Site, State
from unstuck.diagnosis.plan import Choice
from unstuck.diagnosis.skill import (
    LEAST,
    NO_WORSE,
    SHORTEST,
    apart,
    improves,
    learns,
    leaves_room,
    rising,
    settled,
    worth_having,
)
from unstuck.diagnosis.stages import Stage
from unstuck.diagnosis.standing import (
    at_ceiling,
    by_heart,
    counted,
    gapped,
    headroom_of,
    is_below,
    nothing_beats,
    related,
    still_prints,
)
from unstuck.tape.model import Tape


def role(effect: str, known: Known, never_meant: bool, state: State) -> Role:
    """The table: what a finding is to the person.

    |                            | learns well | below headroom, does not learn | too early, unknown            |
    |----------------------------|-------------|--------------------------------|-------------------------------|
    | proven                     | cause       | cause                          | cause                         |
    | undecided, observed, read  | hint        | suspect                        | suspect if never meant        |
    | undecided, guessed         | hint        | suspect, ranked below          | hint                          |
    | refuted                    | hint        | hint                           | hint                          |

    A run that learns, and not so well that nothing could be better (`fairly`), is judged by the last column.
    """
    if effect == "proven":
        return "cause"
    if effect == "refuted" or state == "learns-well":
        return "hint"
    if state in ("below-headroom", "does-not-learn"):
        return "suspect"
    return "suspect" if never_meant and known != "guessed" else "hint"


def fairly(state: State, run: Run) -> State:
    """The state by which a fact about a run is judged: one that learns only fairly is no proof that nothing is wrong.

    Its state says that it learns; what nobody means to do may still be what keeps it from learning well.
    """
    return "unknown" if state == "learns-well" and leaves_room(run.shown) else state


def state_of(run: Run, headroom: Headroom | None = None) -> State:
    """The state of a run, by its skill on each batch before its update, beside what its rows hold."""
    if run.broke:
        return "does-not-learn"
    if run.skill is None or not run.judged:
        return "unknown"
    early = run.passes < SHORTEST or run.warming or (run.cut and rising(run.curve))
    if settled(run.skill) and not learns(run.shown):
        return "below-headroom"  # its own batches show what can be learnt
    improves_still = rising(run.curve) and (run.cut or settled(run.skill)) and not gapped(run, headroom)
    if learns(run.skill) and is_below(headroom) and not improves_still:
        return "below-headroom"
    if shows_less(run):
        return "unknown"  # nothing says that its rows hold more
    if settled(run.skill) or shows_well(run.scores):
        return "learns-well"
    if learns(run.skill):
        return "too-early" if early else "unknown"  # how much more its rows hold is not known
    if run.ranks is not None and nothing_beats(headroom):
        return "unknown"  # its answers are those of the constant, and so are the best ones
    if at_ceiling(headroom):
        return "unknown"  # little can be learnt from its rows, and it has learnt that
    return "too-early" if early else "does-not-learn"


def shows_less(run: Run) -> bool:
    """Whether what a run shows after its training is far below what it knows of its batches, and no success."""
    return settled(run.known) and not settled(run.shown) and apart(run.known, run.shown)


def shows_well(scores: Scores) -> bool:
    """Whether the score that a script prints, certain to be of rows not trained on, is a success."""
    return scores.printed is not None and scores.printed.held_out and settled(scores.printed.skill)


DURING = {Stage.INIT, Stage.ARCHITECTURE, Stage.OPTIMISATION, Stage.MECHANISM, Stage.CAPACITY}
"""Stages of what would show on the batches trained on."""


@dataclass(frozen=True)
class Judged:
    """Findings in the light of a log."""

    findings: Sequence[Finding]
    log: Sequence[Experiment]
    choice: Choice
    prove: bool = True
    """Experiments were allowed. Without any, a finding on a run that does not learn well is a suspect."""

    @property
    def run(self) -> Run:
        """The recorded run."""
        return self.log[0].run or Run()

    @property
    def state(self) -> State:
        """The state of the recorded run."""
        state = state_of(self.run, headroom_of(self.log))
        if state == "learns-well" and is_below(headroom_of(self.log)) and self._healed():
            state = "below-headroom"  # it still improves, and something that is wrong with it holds it back
        shown = any(e.short for e in self.log if not e.request.behind)
        short = shown and state == "does-not-learn" and improves(self.run.curve)
        return "does-not-learn" if self.nothing_left else "too-early" if short else state

    @property
    def nothing_left(self) -> bool:
        """Whether a proven fault leaves nothing to learn."""
        return any(f.leaves_nothing and not f.behind and self.effect(f).word == "proven" for f in self.findings)

    def _healed(self) -> bool:
        """Whether an experiment proves that something holds the training back."""
        ours = (f for f in self.findings if not f.behind and f.stage is not Stage.REPORTING)
        return any(self.effect(f).word == "proven" for f in ours)

    def named(self, tape: Tape) -> tuple[Finding, ...]:
        """Every finding in its role: causes, then suspects (facts before guesses), then the rest."""
        with_effect = [msgspec.structs.replace(f, effect=self.effect(f)) for f in self._shown(tape)]
        causes = {f.fault for f in with_effect if f.effect.word == "proven" and not self._outranked(f)}
        state = self._left_state() if causes else self._asked_state()
        done = [self._in_role(f, state, causes) for f in with_effect]
        return tuple(dict.fromkeys(sorted(done, key=_rank)))

    def _shown(self, tape: Tape) -> list[Finding]:
        """Findings on the recorded tape, and what its inner part answers behind the patch, at home in the text."""
        ours = latest((f for f in self.findings if not f.behind), self.log, ())
        known = {f.fault for f in ours}
        tried = (f for f in self.findings if f.origin == "battery" and not f.behind and f.fault not in known)
        ours += [f for f in tried if self.effect(f).word == "proven"]
        inner, outer = self.choice.inner, self.choice.rerun
        if inner is None or inner.rerun is None or outer is None:
            return ours
        answered = set(inner.rerun.request.faults) - known
        deeper = [f for f in self.findings if f.behind == outer.request.remedies and f.fault in answered]
        return ours + [at_home(f, dict(outer.files), tape.sources) for f in deeper]

    def _asked_state(self) -> State:
        unknown = self.state == "unknown" and self.run.judged
        return "below-headroom" if unknown and not self.prove else self.state

    def _left_state(self) -> State:
        """The state of the best run there is: what remains is judged by the run with its causes treated."""
        last, replay = self.choice.last, self.choice.replay
        if last is not None and ended(last) and last.run is not None:
            return max(state_of(last.run), self.state, key=_goodness)
        if replay is not None and settled(replay.treated.final):
            return "learns-well"
        return self.state

    def _in_role(self, finding: Finding, state: State, causes: set[str]) -> Finding:
        what = role(finding.effect.word, finding.known, finding.never_meant, fairly(state, self.run))
        if what == "cause" and self._outranked(finding):
            what = "hint" if finding.origin == "battery" else "suspect"
        if what == "suspect" and finding.known == "guessed" and settled(self.run.known) and finding.stage in DURING:
            what = "hint"  # the training does well: what is wrong comes after it
        if what == "suspect" and finding.known == "guessed" and self.nothing_left:
            what = "hint"  # it was not tried, and could show nothing
        if what in ("hint", "suspect") and causes and self._gone(finding):
            what = "consequence"
        severity = {"cause": "error", "suspect": "warning"}.get(what, "hint")
        return msgspec.structs.replace(finding, role=what, severity=severity)

    @property
    def outranked(self) -> set[str]:
        """The faults that an experiment shows to matter, and that are no causes all the same."""
        return {f.fault for f in self.findings if self.effect(f).word == "proven" and self._outranked(f)}

    def _outranked(self, finding: Finding) -> bool:
        """Whether its remedy helps a poor run only in part, while no experiment could settle a certain finding: then it
        may only make up for the fault."""
        if finding.known != "guessed" or finding.stage is Stage.REPORTING or finding.behind:
            return False
        last, replay = self.choice.last, self.choice.replay
        reached = last.run.known if last is not None and last.run is not None else 0.0
        if settled(max(reached, replay.treated.final if replay is not None and last is None else 0.0)):
            return False
        return any(self._stands(f) for f in self.findings if f.fault != finding.fault)

    def _stands(self, finding: Finding) -> bool:
        """Whether it is a fact about the training that nobody means, and that nothing has proven or refuted."""
        training = finding.certain and finding.stage is not Stage.REPORTING
        return training and not finding.behind and not finding.aside and self.effect(finding).word == "undecided"

    def _gone(self, finding: Finding) -> bool:
        """Whether its rule is quiet on the tape of the patched run."""
        last = self.choice.last
        if last is None or finding.fault not in last.asked or finding.fault in last.request.faults:
            return False
        behind = (*last.request.behind, *last.request.remedies)
        return not any(f.fault == finding.fault and f.behind == behind for f in self.findings)

    def effect(self, finding: Finding) -> Effect:
        """What the fact does to this run, by the strongest of the experiments about it."""
        if finding.effect.word == "proven":
            return finding.effect
        about = [e for e in self.log if finding.fault in e.request.faults and e.request.behind == finding.behind]
        proof = next((e for e in self._proofs(finding, about)), None)
        if proof is not None:
            return Effect("proven", proof.why)
        known = headroom_of(self.log)
        if known is not None and related(finding, known) and not finding.behind:
            return Effect("refuted", f"the labels follow from the rows: {known.by} reach {known.baseline:.3f}")
        refuting = next((e for e in about if self._refutes(finding, e)), None)
        if refuting is not None:
            return Effect("refuted", f"{refuting.why} ({refuting.power})" if refuting.power else refuting.why)
        also = next((e for e in about if _alone(finding, e) and e.works and not self._withdrawn(e)), None)
        if also is not None and self.choice.replay is not None:
            return Effect("undecided", f"its remedy alone {also.word} too ({also.why}); another one was chosen")
        return Effect("undecided", why_undecided(finding, about))

    def _proofs(self, finding: Finding, about: list[Experiment]) -> list[Experiment]:
        """Experiments that prove the finding's effect: the chosen ones, its own, comparisons of reports."""
        chosen = [e for c in self.levels for e in (c.replay, self._rerun_for(c, finding)) if e is not None]
        told = [e for e in about if isinstance(e.request.means, Recount | Resample)]
        alone = [e for e in about if finding.known != "guessed" and _alone(finding, e)]
        found = [e for e in (*chosen, *told, *alone) if e in about and e.works]
        return [e for e in found if not self._withdrawn(e)]

    def _rerun_for(self, choice: Choice, finding: Finding) -> Experiment | None:
        """The chosen patched run, as far as it speaks for this finding: not for what merely stands in the patch too."""
        rerun = choice.rerun
        if rerun is None or not all(r in finding.remedies for r in rerun.request.remedies):
            together = choice.replay is None and finding.stage is not Stage.REPORTING
            return rerun if together else None
        return rerun

    @property
    def levels(self) -> list[Choice]:
        """The choice, and those behind it."""
        choice, levels = self.choice, []
        while choice is not None:
            levels.append(choice)
            choice = choice.inner
        return levels

    def _withdrawn(self, experiment: Experiment) -> bool:
        """A replay that shows an effect, while the patched script does worse, or learns its training rows by heart; a
        single patched run that gains, by what no rule asked for, less than two single runs may differ by, or anything
        where the script sets no seed."""
        if isinstance(experiment.request.means, Rerun) and experiment.run is not None:
            chance = not self.run.seeded or not worth_having(*counted(self.run, experiment.run))
            return self._unasked(experiment) and chance
        rerun = self.choice.rerun
        if not isinstance(experiment.request.means, Replay) or rerun is None or rerun.run is None or not ended(rerun):
            return False
        written = set(experiment.request.remedies) <= set(rerun.request.remedies)
        before, after = counted(self.run, rerun.run)
        faster = self._unasked(experiment) and not worth_having(before, after)
        worse = after - before <= NO_WORSE or by_heart(rerun.run) or still_prints(self.run, rerun.run)
        return written and (worse or faster or self._gone_by_the_end(experiment, after - before))

    def _gone_by_the_end(self, experiment: Experiment, gain: float) -> bool:
        """Whether a replay of too few steps, or of the beginning of a run that learns well in the end, shows a gain
        that the patched script, run to its end, does not."""
        well = state_of(self.run, headroom_of(self.log)) == "learns-well"
        begun = experiment.steps < (max(self.run.passes, SHORTEST) if well else SHORTEST)
        return begun and gain < LEAST

    def _unasked(self, experiment: Experiment) -> bool:
        """Whether no rule found any of its faults. A generic remedy that only makes the first steps faster is none."""
        asked = {f.fault for f in self.findings if f.origin != "battery" and f.behind == experiment.request.behind}
        return not asked & set(experiment.request.faults)

    def _refutes(self, finding: Finding, experiment: Experiment) -> bool:
        means = experiment.request.means
        if isinstance(means, Resample):
            return experiment.word == "no-difference"
        if not _alone(finding, experiment):
            return False
        if isinstance(means, Rerun):
            return finding.known == "guessed" and experiment.word == "harms"
        return isinstance(means, Replay) and experiment.word in ("no-difference", "harms")

    def decisive(self, named: Sequence[Finding]) -> Experiment | None:
        """The experiment that the verdict rests on: the chosen replay, else the patched run, else a recount."""
        causes = {f.fault for f in named if f.role == "cause"}
        about = [e for e in self.log[1:] if e.works and causes & set(e.request.faults)]
        chosen = [e for c in self.levels for e in (c.replay, c.rerun) if e in about]
        best = chosen or sorted(about, key=lambda e: (set(e.request.faults) != causes, e.word != "heals"))
        return best[0] if best else None


def why_undecided(finding: Finding, about: Sequence[Experiment]) -> str:
    """Why nothing settles a finding's effect: the strongest experiment about it, or that there was none."""
    if not finding.remedies and not finding.settles:
        return "no experiment can settle it: there is no automatic remedy"
    if not about:
        return "no experiment was made"
    made = sorted((e for e in about if e.made), key=lambda e: -e.steps * e.lanes)
    if made:
        return made[0].power or made[0].why
    return about[-1].why


def _alone(finding: Finding, experiment: Experiment) -> bool:
    remedies = experiment.request.remedies
    return len(remedies) == 1 and remedies[0] in finding.remedies


def _rank(finding: Finding) -> tuple[object, ...]:
    roles = ("cause", "suspect", "consequence", "hint")
    return roles.index(finding.role), finding.role == "suspect" and finding.known == "guessed", *upstream(finding)


def _goodness(state: State) -> int:
    return ("does-not-learn", "too-early", "unknown", "below-headroom", "learns-well").index(state)


def at_home(finding: Finding, patched: dict[str, str], original: dict[str, str]) -> Finding:
    """A finding on patched sources, with its line as the person's own file counts."""
    site = finding.site
    if site is None or site.file not in patched or site.file not in original:
        return finding
    return msgspec.structs.replace(finding, site=_line_at_home(site, patched[site.file], original[site.file]))


def _line_at_home(site: Site, patched: str, original: str) -> Site:
    blocks = difflib.SequenceMatcher(None, original.splitlines(), patched.splitlines(), autojunk=False).get_opcodes()
    for tag, a, _, b, b_end in blocks:
        if b < site.line <= b_end:
            line = a + 1 + (site.line - b - 1 if tag == "equal" else 0)
            return msgspec.structs.replace(site, line=line, end_line=-1, column=-1, end_column=-1)
    return site
