"""The bench: replays of one tape in several lanes, as written and with any set of remedies."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Remedy
from unstuck.diagnosis.skill import WORTH
from unstuck.remedies.treatment import CannotApply, Trial
from unstuck.replay.cost import Manner
from unstuck.replay.devices import device_of
from unstuck.replay.extent import SECONDS, SHORTEST, TELLING, UNPLAYABLE, beside, extent
from unstuck.replay.faithful import check
from unstuck.replay.lanes import LANES, starts
from unstuck.replay.redrawing import Redrawn
from unstuck.replay.run import Course, LaneResult, LaneRun, course_of, repeated
from unstuck.replay.stacked import Traces, only_one_by_one, unplayable
from unstuck.signals.changed_gradients import changed
from unstuck.signals.sweep import LONGER, Sweep
from unstuck.signals.task import Task, main_program
from unstuck.signals.yardstick import yardstick
from unstuck.tape.interpreter import CannotReplay
from unstuck.tape.model import Tape

PATIENCE, PATIENCE_LONG = 6.0, 2.5
"""A replay that takes this many times its estimate is stopped: the estimate is wrong. A long one is stopped earlier."""
DOWN, UP = -6, 7
"""A sweep covers half-decades around the recorded rate: three decades down to three and a half up."""
HIGH, LOW, MOST_RATES = 0.03, 1e-3, 20
"""A sweep that would end below HIGH goes on up to it, one that would end above LOW goes on down to it; with at most
MOST_RATES rates, ten decades, of which those on the other side are left out."""
KEPT = 48 * 2**20
"""Bytes of lanes and optimizer state that unfinished trials together may keep, so that they can be continued."""
WIDEST = 256 * 2**20
"""Bytes that the lanes of a sweep may take together; larger ones train in several groups."""
FIRST, HOPELESS = 3, 2.0
"""Passes whose time is measured, and how many times the limit the least that is worth a replay may be estimated to take
by them: the first pass of a program is the slowest."""
SLOW = "its step takes longer to replay than was estimated"
BEGINNING = 0.4
"""The part of the course that is replayed as written first: it shows whether the program can be replayed."""


class Bench:
    """Replays trials of one tape. `why` is the reason why it cannot, else ""."""

    def __init__(self, tape: Tape, seconds: float = SECONDS) -> None:
        self.seconds, self._whole = seconds, tape
        self.why = unplayable(as_written(tape))
        self._begin("one by one" if only_one_by_one(as_written(tape)) else None)
        if self.why and self.manner == "at once" and not unplayable(self.trial):
            self._begin("one by one")

    def _begin(self, only: Manner | None) -> None:
        """Choose lanes, rows and passes, and replay the first part as written. `only`: the manner that calls allow."""
        chosen = extent(self._whole, self.seconds, device_of(self._whole), only)
        self.tape, self.every, self.lanes = chosen.tape, chosen.every, chosen.lanes
        self.manner: Manner = chosen.manner
        self.bytes = chosen.bytes
        """Estimated memory of one replay."""
        self.limit = max(PATIENCE * self.seconds, PATIENCE_LONG * chosen.seconds)
        """Seconds of CPU time after which a replay is stopped."""
        self.trial, self.traces = as_written(self.tape), Traces()
        passes = chosen.passes or self.tape.passes
        self.main = main_program(self.tape, passes)
        self.task = Task.read(self.tape, self.main)
        self.yardstick = yardstick(self.tape, self.main, self.task)
        self.course = course_of(self.tape, passes, self.main, self.yardstick, self.task)
        self._waiting: dict[tuple[Remedy, ...], LaneRun] = {}
        self.why = unplayable(self.trial) or changed(self.tape) or chosen.why or self._begun()

    def _begun(self) -> str:
        """Replay the first part as written; why that cannot be done, "" if it can."""
        try:
            if self.every == 1:  # the loss of other rows is another
                check(self.trial, self.main, literal=self.manner == "one by one")
            self._as_written = self._set_out(self.trial)
            if not self._affordable():
                return SLOW
            self._written(self._until(BEGINNING))
        except CannotReplay as error:
            return str(error)
        except UNPLAYABLE as error:
            return f"a call of its step cannot be run again ({_first_line(error)})"
        short = len(self.course.passes) < min(TELLING, len(self.tape.passes))
        return SLOW if short else ""

    def _affordable(self) -> bool:
        """Whether its limit allows as many passes as are worth a replay, by the time that the first ones take."""
        enough = min(TELLING, len(self.tape.passes))
        began = time.thread_time()
        self._as_written.to(FIRST, self.limit)
        each = (time.thread_time() - began) / max(1, self._as_written.at)
        return enough * each <= HOPELESS * self.limit

    def _written(self, passes: int) -> LaneResult:
        """The run as written up to there; if that takes too long, the course ends where it was stopped."""
        result = self._as_written.to(passes, self.limit)
        if result.stopped:
            self.course = self.course.cut(self._as_written.at)
        return result

    def _until(self, share: float) -> int:
        return max(min(SHORTEST, len(self.course.passes)), int(share * len(self.course.passes)))

    @property
    def written(self) -> LaneResult:
        """The run as written, over the whole course."""
        return self._written(len(self.course.passes))

    def untreated(self, share: float) -> LaneResult:
        """The run as written, over the first `share` of the course."""
        return self._written(self._until(share))

    def _set_out(self, trial: Trial, course: Course | None = None, manner: Manner | None = None) -> LaneRun:
        lanes = starts(trial.start, trial.holders, self.lanes)
        return LaneRun(trial, course or self.course, lanes, torch.ones(self.lanes), self.traces, manner or self.manner)

    def trained(self, trial: Trial, course: Course, times: float = 1.0) -> LaneResult:
        """Lanes of a trial on a course of its own; stopped after `times` the seconds of a replay."""
        run = lambda manner: self._set_out(trial, course, manner).to(len(course.passes), times * self.limit)
        try:
            return run(self.manner)
        except UNPLAYABLE:
            if self.manner == "one by one":
                raise
            return run("one by one")

    def treat(self, remedies: Sequence[Remedy], share: float = 1.0) -> LaneResult:
        """The run with the remedies applied in order, over the first `share` of the course.

        Raises CannotApply or CannotReplay, with the reason.
        """
        known, until = tuple(remedies), min(self._until(share), len(self.course.passes))
        try:
            under_way = self._waiting.pop(known, None) or self._set_out(self.treated(remedies))
            under_way, result = self._continued(under_way, until)
        except UNPLAYABLE as error:
            raise CannotApply(f"the treated step cannot be run again ({_first_line(error)})") from error
        if not result.stopped:
            self._keep(known, under_way)
        return result

    def _continued(self, under_way: LaneRun, until: int) -> tuple[LaneRun, LaneResult]:
        """Train up to there; lane by lane and from the beginning if a call cannot be run for all lanes at once."""
        try:
            return under_way, under_way.to(until, self.limit)
        except UNPLAYABLE:
            if under_way.manner == "one by one":
                raise
        alone = self._set_out(under_way.trial, manner="one by one")
        return alone, alone.to(until, self.limit)

    def _keep(self, known: tuple[Remedy, ...], under_way: LaneRun) -> None:
        """Keep an unfinished trial, and let the oldest go if all of them take too much memory."""
        self._waiting[known] = under_way
        while sum(r.bytes for r in self._waiting.values()) > KEPT:
            self._waiting.pop(next(iter(self._waiting)))

    def rest(self) -> None:
        """Let go of what can be made again where it takes much memory: the patched script is about to run."""
        if self.bytes > beside(self._whole):
            self._waiting.clear()
            self.traces = Traces()

    def treated(self, remedies: Sequence[Remedy]) -> Trial:
        """The trial with the remedies applied in order."""
        trial = self.trial
        for remedy in remedies:
            trial = remedy.apply(trial)
        return trial.with_(tape=self._mixed()) if trial.mixed else trial

    def _mixed(self) -> Tape:
        """The tape with its rows in random order; raises CannotApply if rows cannot be told apart."""
        try:
            return Redrawn.of(self.tape, self.main, self.course.passes).mixed()
        except NotApplicable as reason:
            raise CannotApply(str(reason)) from reason

    def sweep(self, remedies: Sequence[Remedy] = ()) -> Sweep:
        """Many learning rates at once, one per lane, from the recorded first weights; heavy steps get whole decades."""
        trial = self.treated(remedies)
        factors = rates_around(self.rate(), 1 if self.lanes == LANES else 2)
        wide = self.bytes * len(factors) > WIDEST * self.lanes
        groups = torch.tensor(factors).split(self.lanes if wide else len(factors))
        skills = [skill for group in groups for skill in self._rates(trial, group)]
        gains = max(skills) >= skills[factors.index(1.0)] + WORTH
        return Sweep(factors, tuple(skills), self.rate(), self._longer(trial) if gains else -1.0)

    def _longer(self, trial: Trial) -> float:
        """Skill at the end of LONGER courses, one after the other, as more epochs would be; -1 if it is stopped."""
        tape, course = repeated(trial.tape, self.course, LONGER)
        start = starts(trial.start, trial.holders, 1, redrawn=False)
        try:
            run = LaneRun(trial.with_(tape=tape), course, start, torch.ones(1), manner=self.manner)
            result = run.to(len(course.passes), self.limit)
        except UNPLAYABLE:  # a sweep is no less true if its longer run diverges
            return -1.0
        return float(result.skill()) if not result.stopped else -1.0

    def _rates(self, trial: Trial, factors: Tensor) -> list[float]:
        """The skill of each of these rates, which train in lanes of one group."""
        start = starts(trial.start, trial.holders, len(factors), redrawn=False)
        run = LaneRun(trial, self.course, start, factors, manner=self.manner)
        try:
            return run.to(len(self.course.passes), self.limit).skill().tolist()
        except UNPLAYABLE:  # one lane that diverges may raise for all; alone it fails alone
            run = LaneRun(trial, self.course, start, factors, manner="one by one")
            return run.to(len(self.course.passes), self.limit).skill().tolist()

    def rate(self) -> float:
        """The first recorded learning rate."""
        return next((u.rates[0] for u in self.tape.updates if u.rates), 0.0)


def rates_around(rate: float, halves: int = 1) -> tuple[float, ...]:
    """The factors of a sweep around a rate, so many half-decades apart; 1 is among them."""
    up = max(UP, math.ceil(2 * math.log10(HIGH / rate))) if rate > 0 else UP
    down = min(DOWN, math.floor(2 * math.log10(LOW / rate))) if rate > 0 else DOWN
    up, down = min(up, MOST_RATES - 2), max(down, 2 - MOST_RATES)
    if up > UP:
        down = min(-1, max(DOWN, up - MOST_RATES + 1))
    elif down < DOWN:
        up = max(1, min(UP, down + MOST_RATES - 1))
    return tuple(10 ** (e / 2) for e in range(down, up + 1) if e % halves == 0)


def as_written(tape: Tape) -> Trial:
    """The trial of a tape without any remedy."""
    return Trial(
        tape=tape,
        programs=tape.programs,
        start={p.name: tape.start(p.name) for p in tape.parameters},
        holders={p.name: (p.optimizer, p.group) for p in tape.parameters if p.optimizer >= 0 and p.trainable},
        options=tuple(o.groups for o in tape.optimizers),
        clip={n: o.clip for n, o in enumerate(tape.optimizers) if o.clip is not None},
        device=device_of(tape),
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:160] if text else type(error).__name__
