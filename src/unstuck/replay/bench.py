"""The bench: replays of one tape in eight lanes, as written and with any set of remedies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Remedy
from unstuck.remedies.treatment import CannotApply, Trial
from unstuck.replay.cost import estimate
from unstuck.replay.lanes import LANES, starts
from unstuck.replay.redrawing import Redrawn
from unstuck.replay.run import LaneResult, LaneRun, course_of, run_lanes
from unstuck.replay.stacked import Traces, stackable
from unstuck.replay.thinned import factor, thinned
from unstuck.signals.sweep import Sweep
from unstuck.signals.task import Task, main_program
from unstuck.signals.yardstick import yardstick
from unstuck.tape.interpreter import CannotReplay, run
from unstuck.tape.model import Pass, Tape

SECONDS = 2.0
"""Estimated cost of one replay of eight lanes; the course is cut to fit, and every trial has the same length. An
estimate, not a clock: the same tape must always give the same verdict."""
SHAPES = 6
"""Distinct programs on a course: tracing one costs as much as hundreds of its steps."""
PATIENCE = 6.0
"""A replay that takes this many times its estimate is stopped: the estimate is wrong."""
LONGEST = 1_600
"""Passes replayed at most: two seconds of a small network's steps."""
SHORTEST = 40
"""Passes replayed at least, if the tape holds them."""
SPARING = 2.0
"""If the shortest course costs more than this many times SECONDS, fewer rows of each batch are replayed."""
DOWN, UP = -6, 7
"""A sweep covers half-decades around the recorded rate: three decades down to three and a half up."""
HIGH, MOST_RATES = 0.03, 18
"""A sweep that would end below HIGH goes on up to it and begins later, with at most MOST_RATES rates."""
FAITHFUL = 1e-3
"""Largest relative difference between a replayed loss and the recorded one; beyond it, the replay is wrong."""
KEPT = 48 * 2**20
"""A trial whose lanes and optimizer state take fewer bytes than this is kept, so that it can be continued."""
BEGINNING = 0.4
"""The part of the course that is replayed as written first: it shows whether the program can be replayed."""
UNPLAYABLE = (RuntimeError, NotImplementedError, TypeError, ValueError, KeyError, IndexError)
"""What torch raises if a call cannot be run in lanes."""


class Bench:
    """Replays trials of one tape. `why` is the reason why it cannot, else ""."""

    def __init__(self, tape: Tape, seconds: float = SECONDS) -> None:
        self.tape, self.seconds, self.every = tape, seconds, 1
        if tape.passes and (every := factor(tape, SHORTEST, LANES, SPARING * seconds)) > 1:
            self._thin(every)
        passes = self._passes()
        self.main = main_program(self.tape, passes)
        self.task = Task.read(self.tape, self.main)
        self.yardstick = yardstick(self.tape, self.main, self.task)
        self.course = course_of(self.tape, passes, self.main, self.yardstick, self.task)
        self.trial = as_written(self.tape)
        self.traces = Traces()
        self._waiting: dict[tuple[Remedy, ...], LaneRun] = {}
        self.why = stackable(self.trial)
        if not self.why:
            self._prepare()

    def _thin(self, every: int) -> None:
        """Replay every n-th row of each batch: whole batches would take too long."""
        with suppress(*UNPLAYABLE):
            few = thinned(self.tape, every)
            self.tape, self.every = few, every if few is not self.tape else 1

    def _prepare(self) -> None:
        try:
            self._check()
            self._as_written = self._set_out(self.trial)
            self._written(self._until(BEGINNING))
        except CannotReplay as error:
            self.why = str(error)
        except UNPLAYABLE as error:
            self.why = f"a call of its step cannot be run in lanes ({_first_line(error)})"
        if not self.why and len(self.course.passes) < min(SHORTEST, len(self.tape.passes)):
            self.why = "its step takes too long to replay"

    def _written(self, passes: int) -> LaneResult:
        """The run as written up to there; if that takes too long, the course ends where it was stopped."""
        result = self._as_written.to(passes, PATIENCE * self.seconds)
        if result.stopped:
            self.course = self.course.cut(self._as_written.at)
        return result

    def _until(self, share: float) -> int:
        return max(SHORTEST, int(share * len(self.course.passes)))

    @property
    def written(self) -> LaneResult:
        """The run as written, over the whole course."""
        return self._written(len(self.course.passes))

    def untreated(self, share: float) -> LaneResult:
        """The run as written, over the first `share` of the course."""
        return self._written(self._until(share))

    def _check(self) -> None:
        """Raise CannotReplay unless the first recorded loss is reproduced (programs with dropout aside)."""
        if self.every > 1:
            return  # the loss of other rows is another
        if any(c.name.endswith("dropout") or "dropout" in c.name for c in self.tape.programs[self.main].calls):
            return
        first = self.tape.passes[0]
        constants: dict[str, Tensor] = {}
        with torch.no_grad():
            values = run(
                self.tape.programs[first.program],
                self.trial.start,
                tuple(self.tape.tensors[k] for k in first.outside),
                constants,
            )
        got = float(values[self.tape.programs[first.program].loss].float().sum())
        same = got == first.loss or (got != got and first.loss != first.loss)
        if not same and not abs(got - first.loss) <= FAITHFUL * max(abs(first.loss), 1e-6):
            raise CannotReplay(f"its first loss comes out as {got:.6g} instead of {first.loss:.6g}")

    def _passes(self) -> tuple[Pass, ...]:
        """The first passes that fit into the estimated cost and need at most SHAPES traces."""
        chosen: list[Pass] = []
        costs = [LANES * lane + shared for lane, shared in (estimate(self.tape, q) for q in self.tape.programs)]
        cost, seen = 0.0, set()
        for p in self.tape.passes[:LONGEST]:
            seen.add(p.program)
            cost += costs[p.program]
            if len(chosen) >= SHORTEST and (cost > self.seconds or len(seen) > SHAPES):
                break
            chosen.append(p)
        return tuple(chosen)

    def _set_out(self, trial: Trial) -> LaneRun:
        lanes = starts(trial.start, set(trial.holders), LANES)
        return LaneRun(trial, self.course, lanes, torch.ones(LANES), self.traces)

    def treat(self, remedies: Sequence[Remedy], share: float = 1.0) -> LaneResult:
        """The run with the remedies applied in order, over the first `share` of the course.

        Raises CannotApply or CannotReplay, with the reason.
        """
        passes, known = self._until(share), tuple(remedies)
        try:
            under_way = self._waiting.pop(known, None) or self._set_out(self._treated(remedies))
            result = under_way.to(min(passes, len(self.course.passes)), PATIENCE * self.seconds)
        except UNPLAYABLE as error:
            raise CannotApply(f"the treated step cannot be run in lanes ({_first_line(error)})") from error
        if under_way.lanes.bytes <= KEPT and not result.stopped:
            self._waiting[known] = under_way
        return result

    def _treated(self, remedies: Sequence[Remedy]) -> Trial:
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
        """Many learning rates at once, one per lane, from the recorded first weights."""
        trial = self._treated(remedies)
        factors = rates_around(self.rate())
        start = starts(trial.start, set(), len(factors))
        result = run_lanes(trial, self.course, start, torch.tensor(factors), PATIENCE * self.seconds)
        return Sweep(factors, tuple(result.skill().tolist()), self.rate())

    def rate(self) -> float:
        """The first recorded learning rate."""
        return next((u.rates[0] for u in self.tape.updates if u.rates), 0.0)


def rates_around(rate: float) -> tuple[float, ...]:
    """The factors of a sweep around a rate; 1 is among them."""
    up = max(UP, math.ceil(2 * math.log10(HIGH / rate))) if rate > 0 else UP
    up = min(up, MOST_RATES - 2)
    down = min(-1, max(DOWN, up - MOST_RATES + 1))
    return tuple(10 ** (e / 2) for e in range(down, up + 1))


def as_written(tape: Tape) -> Trial:
    """The trial of a tape without any remedy."""
    return Trial(
        tape=tape,
        programs=tape.programs,
        start={p.name: tape.start(p.name) for p in tape.parameters},
        holders={p.name: (p.optimizer, p.group) for p in tape.parameters if p.optimizer >= 0 and p.trainable},
        options=tuple(o.groups for o in tape.optimizers),
        clip={n: o.clip for n, o in enumerate(tape.optimizers) if o.clip is not None},
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:160] if text else type(error).__name__
