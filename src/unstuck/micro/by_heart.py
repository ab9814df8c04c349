"""Whether one small batch can be learnt by heart.

## What it asks

Can the network learn a few recorded rows by heart, with the script's own optimizer? If not: with Adam, and with Adam
once inputs and targets have unit scale?

## How

ROWS rows of a recorded batch, dropout switched off, are trained on for STEPS steps from the first weights: with the
recorded optimizer at its recorded rates; where that gets nowhere, with Adam at RATES; then with Adam on standardised
inputs (and targets, where they are numbers). Where Adam learns them, the recorded optimizer is tried again at other
rates, three decades to both sides, until one learns them. What counts is the share of the loss of the best constant
answer for these rows that is gone; where no such answer is known, the share of the first loss.

## What it costs

STEPS steps of ROWS rows, and 3 to 10 times as many where the script's own optimizer gets nowhere; arms end as soon as
the rows are learnt. Where the time is short, the script's own optimizer gets half of it, and Adam as many steps.

## What is healthy

A few rows are learnt by heart in a few dozen steps. If Adam does it and the script's own optimizer does at another
rate, the rate is the reason; if it does at none, the optimizer, or what is done to the gradients in between; if only
unit scale helps, the units; if nothing does, the wiring, the first weights or the targets. A run that learns anyway is
only slow, and nothing is told of it. A policy's loss, which holds detached advantages, is not to become small: nothing
is asked of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.diagnosis.skill import settled
from unstuck.micro.arms import FEWEST, LEARNT, PATIENT, Arm, Clock, Own, at_other_rates, by_adam, learnt
from unstuck.micro.few_rows import Few, few_rows
from unstuck.micro.start_loss import constant_answer, loss_of
from unstuck.micro.step import REFUSED, Recorded
from unstuck.signals.learning import Learning
from unstuck.signals.task import Task, alternate
from unstuck.signals.without_dropout import without_dropout
from unstuck.signals.yardstick import of_targets
from unstuck.tape.abstract import Knowns
from unstuck.tape.model import Tape
from unstuck.tape.program import Program, Value
from unstuck.tape.site import Site

COST, KEEPS, FAILING = 70, 0.35, True
ROWS = 16
RATE = ("the learning rate is too low", "the learning rate is too high")
HALF_TIME = 0.5
"""Share of the time that the script's own optimizer may take; the rest is for what it is compared with."""
MOST = 0.5
"""Share of the constant answer's loss that is gone from which on an optimizer is said to learn the rows where another
learns nothing."""
NOTHING = 0.05
"""The same where nothing is learnt: a line through ROWS rows of noise takes one part in ROWS for each input."""


@dataclass(frozen=True)
class ByHeart:
    """What became of the rows with each optimizer that was tried."""

    rows: int
    """0 where they are not known."""
    own: Arm
    neutral: Arm | None
    """The best of the rates of Adam; None where the script's own optimizer learns the rows."""
    scaled: Arm | None
    """The same at unit scale; None where it was not needed, or nothing enters as numbers."""
    rate: tuple[float, Arm] | None
    """A factor of its own rate at which the script's optimizer learns them, and the arm; None where none was found."""
    fails: bool
    """The recorded run itself does not learn, as far as its score or its losses tell."""
    site: Site | None = None
    """Where the optimizer was made."""
    loss: Site | None = None

    @property
    def batch(self) -> str:
        """What was to be learnt."""
        return f"one batch of {self.rows} rows" if self.rows else "one batch"

    @property
    def why(self) -> str:
        """Every arm in one clause."""
        mine = f"{self.batch} with {self.own.name}: {self.own.losses}"
        arms = (self.neutral, self.scaled, self.rate[1] if self.rate is not None else None)
        others = (f"{arm.name}: {arm.losses}" for arm in arms if arm is not None)
        return "; ".join((mine, *others))

    @property
    def numbers(self) -> dict[str, float]:
        """Shares that are gone."""
        arms = {"own": self.own, "adam": self.neutral, "adam at unit scale": self.scaled}
        return {name: arm.share for name, arm in arms.items() if arm is not None}

    @property
    def verdict(self) -> str:
        """What the arms show together; "" where the rows are learnt, or half learnt by all."""
        neutral = self.neutral.share if self.neutral is not None else math.nan
        scaled = self.scaled.share if self.scaled is not None else math.nan
        if self.own.share >= NOTHING:
            return ""
        if neutral >= MOST:
            return "optimizer" if self.rate is None else "rate"
        if scaled >= MOST:
            return "units"
        untouched = neutral < NOTHING and not scaled >= NOTHING and self.own.steps >= PATIENT
        return "neither" if untouched else ""

    @property
    def statements(self) -> tuple[Statement, ...]:
        """What keeps the rows from being learnt, where the run itself does not learn."""
        if not self.verdict or not self.fails or self.neutral is None:
            return ()
        mine = f"{self.batch} is not learnt by heart with {self.own.name} ({self.own.losses})"
        match self.verdict:
            case "rate":
                assert self.rate is not None
                factor, arm = self.rate
                said = f"{mine}, but at {factor:g} times its rate ({arm.losses}): {RATE[factor < 1]}"
                fault = "lr-too-high" if factor < 1 else "lr-too-low"
                return (Statement(said, self.site, "by-heart", self.numbers, fault, alone=True),)
            case "optimizer":
                said = f"{mine}, but with {self.neutral.name} ({self.neutral.losses}): the optimizer or its rate"
                return (Statement(said, self.site, "by-heart", self.numbers, alone=True),)
            case "units":
                assert self.scaled is not None
                said = f"{mine}, but with {self.scaled.name} ({self.scaled.losses}): the scale of inputs or targets"
                return (Statement(said, self.loss, "by-heart", self.numbers, alone=True),)
        said = f"{mine}, nor with {self.neutral.name} ({self.neutral.losses}): the wiring, first weights or targets"
        return (Statement(said, self.loss, "by-heart", self.numbers, alone=True),)


def ask(recorded: Recorded) -> ByHeart:
    """Train on the rows. Raises NotApplicable for players in turn, where no batch holds different targets, and where
    the time is too short for an answer."""
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    tape, task = recorded.tape, Task.read(recorded.tape)
    if alternate(tape):
        raise NotApplicable("its optimizers step in turn")
    if task.target is None and _moves(recorded.first.program):
        raise NotApplicable("the loss contains outputs that are cut off from the gradient: it is not to be minimised")
    few = _without_dropout(few_rows(recorded, task, ROWS))
    if not few.step.trained or not tape.updates:
        raise NotApplicable("no optimizer holds a weight of the step")
    own, constant = Own(recorded, few.step), constant_loss(few, task)
    clock = Clock(recorded.seconds)
    arms: list[Arm | None] = [learnt(own, few.step, constant, clock.part(HALF_TIME)), None, None]
    if arms[0] is not None and arms[0].bottomless:
        raise NotApplicable("its loss falls below 0: what is left of it is not known")
    if arms[0] is not None and not arms[0].steps:
        raise NotApplicable("the first loss is below what the best constant answer costs")
    if arms[0] is not None and arms[0].share < NOTHING:
        steps = arms[0].steps
        arms[1] = by_adam(few.step, constant, "Adam", clock, steps)
        unit = few.at_unit_scale(task)
        if unit is not None and (arms[1] is None or arms[1].share < LEARNT):
            arms[2] = by_adam(unit.step, constant_loss(unit, task), "Adam and units of scale 1", clock, steps)
    if arms[0] is None:
        raise NotApplicable(f"{FEWEST} of its steps take more than half of the {recorded.seconds:.2g} s that are left")
    rate = None
    if arms[1] is not None and arms[1].share >= MOST:
        rate = at_other_rates(recorded, few.step, constant, clock)
    holder = next(p.optimizer for p in tape.parameters if p.name in few.step.trained)
    made = tape.optimizers[holder].made
    return ByHeart(few.rows, arms[0], arms[1], arms[2], rate, fails(tape), made, task.loss.site if task.loss else None)


def _moves(program: Program) -> bool:
    """Whether a value that was made of weights and detached stands in the loss, as an advantage does."""
    cuts = {call.outs for call in Knowns(program).cuts()}
    return any(call.outs in cuts for call in program.leading_to(Value(program.loss)))


def fails(tape: Tape) -> bool:
    """Whether the recorded run does not learn, by its score or else by its losses."""
    learning = Learning.read(tape)
    return not settled(learning.final) and not learning.adrift


def _without_dropout(few: Few) -> Few:
    return Few(few.step.with_(program=without_dropout(few.step.program)), few.rows)


def constant_loss(few: Few, task: Task) -> float | None:
    """The loss of the best answer that is the same for every row of the batch; None where it is not known."""
    if task.target is None:
        return None
    try:
        answer = constant_answer(task, of_targets(task, [task.wanted(few.step.outside.__getitem__)]), few.step)
        return loss_of(few.step, task, answer) if answer is not None else None
    except REFUSED:
        return None


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 12)
y = x[:, :3].argmax(1)
model = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 3))
optimizer = torch.optim.SGD(model.parameters(), lr={rate})
for epoch in range(12):
    for rows in torch.randperm(400).split(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(rate=1e-5)
QUIET = _SCRIPT.format(rate=0.5)
