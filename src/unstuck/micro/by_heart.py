"""Whether one small batch can be learnt by heart.

## What it asks

Can the network learn a few recorded rows by heart, with the script's own optimizer? If not: with Adam, and with Adam
once inputs and targets have unit scale?

## How

ROWS rows of a recorded batch, dropout switched off, are trained on for STEPS steps from the first weights: with the
recorded optimizer at its recorded rates; where that gets nowhere, with Adam at RATES; then with Adam on standardised
inputs (and targets, where they are numbers). What counts is the share of the loss of the best constant answer for these
rows that is gone; where no such answer is known, the share of the first loss.

## What it costs

STEPS steps of ROWS rows, and 3 to 6 times as many where the script's own optimizer gets nowhere; arms end as soon as
the rows are learnt.

## What is healthy

A few rows are learnt by heart in a few dozen steps. If Adam does it and the script's own optimizer does not, the
optimizer, its rate, or what is done to the gradients in between is the reason; if only unit scale helps, the units; if
nothing does, the wiring, the first weights or the targets. A run that learns anyway is only slow, and nothing is told
of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.diagnosis.skill import settled
from unstuck.micro.few_rows import Few, few_rows
from unstuck.micro.start_loss import constant_answer, loss_of
from unstuck.micro.step import REFUSED, Recorded, Step
from unstuck.micro.training import optimizers_of, step
from unstuck.signals.learning import Learning
from unstuck.signals.task import Task, alternate
from unstuck.signals.without_dropout import without_dropout
from unstuck.signals.yardstick import of_targets
from unstuck.tape.interpreter import CannotReplay
from unstuck.tape.model import Tape
from unstuck.tape.site import Site

COST = 70
ROWS, STEPS = 16, 60
RATES = (1e-2, 1e-3, 1e-1)
"""Of Adam: about the size of each weight's step. 1e-2 moves weights of usual size by their own size in STEPS steps."""
LEARNT = 0.8
"""Share of the constant answer's loss that is gone where rows are learnt by heart."""
MOST = 0.5
"""The same from which on an optimizer is said to learn them where another learns nothing."""
NOTHING = 0.05
"""The same where nothing is learnt: a line through ROWS rows of noise takes one part in ROWS for each input."""
FEWEST = 30
"""Steps of an arm that is cut off for time and still counts."""
SMALLEST = 1e-12


@dataclass(frozen=True)
class Arm:
    """The rows trained on with one optimizer."""

    name: str
    first: float
    last: float
    steps: int
    constant: float | None
    """The loss of the best constant answer for the rows; None where it is not known."""

    @property
    def share(self) -> float:
        """The share that is gone, of the constant answer's loss or of the first loss; -1 where it is not finite."""
        whole = self.constant if self.constant is not None else self.first
        if not math.isfinite(self.last) or not whole > SMALLEST:
            return -1.0
        return max(-1.0, (whole - self.last) / whole)

    @property
    def over(self) -> bool:
        """The rows are learnt, or there is nothing to go on from."""
        return self.share >= LEARNT or not math.isfinite(self.last)

    @property
    def losses(self) -> str:
        """The loss before and after."""
        return f"loss {self.first:.4g} -> {self.last:.4g} in {self.steps} steps"


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
        others = (f"{arm.name}: {arm.losses}" for arm in (self.neutral, self.scaled) if arm is not None)
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
            return "optimizer"
        if scaled >= MOST:
            return "units"
        untouched = neutral < NOTHING and not scaled >= NOTHING
        return "neither" if untouched else ""

    @property
    def statements(self) -> tuple[Statement, ...]:
        """What keeps the rows from being learnt, where the run itself does not learn."""
        if not self.verdict or not self.fails or self.neutral is None:
            return ()
        mine = f"{self.batch} is not learnt by heart with {self.own.name} ({self.own.losses})"
        match self.verdict:
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
    few = _without_dropout(few_rows(recorded, task, ROWS))
    if not few.step.trained or not tape.updates:
        raise NotApplicable("no optimizer holds a weight of the step")
    own, constant = Own(recorded, few.step), constant_loss(few, task)
    clock = Clock(recorded.seconds)
    arms: list[Arm | None] = [learnt(own, few.step, constant, clock), None, None]
    if arms[0] is not None and not arms[0].steps:
        raise NotApplicable("the first loss is below what the best constant answer costs")
    if arms[0] is not None and arms[0].share < NOTHING:
        arms[1] = by_adam(few.step, constant, "Adam", clock)
        unit = few.at_unit_scale(task)
        if unit is not None and (arms[1] is None or arms[1].share < LEARNT):
            arms[2] = by_adam(unit.step, constant_loss(unit, task), "Adam and units of scale 1", clock)
    if arms[0] is None:
        raise NotApplicable(f"{FEWEST} of its steps take longer than the {recorded.seconds:.2g} s that are left")
    made = tape.optimizers[tape.updates[0].optimizer].made
    return ByHeart(few.rows, arms[0], arms[1], arms[2], fails(tape), made, task.loss.site if task.loss else None)


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


class Clock:
    """What is left of some seconds of this thread's work."""

    def __init__(self, seconds: float) -> None:
        self._until = time.thread_time() + seconds

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return time.thread_time() > self._until


class Own:
    """The script's own optimizers, each at its recorded rates, over copies of the first weights."""

    def __init__(self, recorded: Recorded, few: Step) -> None:
        self._tape = recorded.tape
        self.weights = {name: w.detach().clone() for name, w in few.weights.items()}
        held = {name: self.weights[name] for name in few.trained}
        self._optimizers = optimizers_of(recorded.tape, held)
        self._updates = {n: [u for u in recorded.tape.updates if u.optimizer == n] for n in self._optimizers}
        self._kept = _uncleared(recorded.tape) & held.keys()
        self._made = 0

    @property
    def name(self) -> str:
        """The optimizers' names."""
        return " and ".join(dict.fromkeys(f"the script's {self._tape.optimizers[n].name}" for n in self._optimizers))

    def step(self, gradients: dict[str, Tensor]) -> None:
        """One step with each; gradients that the script does not clear are added up."""
        for name, gradient in gradients.items():
            weight = self.weights[name]
            kept = weight.grad if name in self._kept else None
            weight.grad = gradient if kept is None else kept + gradient
        for number, optimizer in self._optimizers.items():
            update = self._updates[number][min(self._made, len(self._updates[number]) - 1)]
            if update.closure:
                raise CannotReplay("its optimizer evaluates the loss several times in a step")
            if update.empty:
                optimizer.zero_grad()
            step(optimizer, self._tape.optimizers[number].clip, update.rates)
        self._made += 1


class Neutral:
    """Adam over copies of the first weights."""

    def __init__(self, few: Step, rate: float, name: str) -> None:
        self.name = f"{name} at {rate:g}"
        self.weights = {n: w.detach().clone() for n, w in few.weights.items()}
        self._held = [self.weights[n] for n in sorted(few.trained)]
        self._optimizer = torch.optim.Adam(self._held, lr=rate)

    def step(self, gradients: dict[str, Tensor]) -> None:
        """One step."""
        for name, gradient in gradients.items():
            self.weights[name].grad = gradient
        self._optimizer.step()


def _uncleared(tape: Tape) -> frozenset[str]:
    """The weights whose gradients stand from before when the pass after the first update begins."""
    after = tape.updates[0].after
    return frozenset(tape.passes[after].stale if after < len(tape.passes) else ())


def learnt(trainer: Own | Neutral, few: Step, constant: float | None, clock: Clock) -> Arm | None:
    """The rows trained on until they are learnt, STEPS are made, or the time is over; None after too few steps."""
    last: Arm | None = None
    for last in _trained(trainer, few, constant):
        if last.over or clock.over:
            break
    return last if last is not None and (last.over or last.steps >= FEWEST) else None


def _trained(trainer: Own | Neutral, few: Step, constant: float | None) -> Iterator[Arm]:
    """The arm before the first step and after each."""
    first = math.nan
    for steps in range(STEPS + 1):
        made = few.with_(weights=trainer.weights).backward()
        first = first if steps else float(made.loss)
        yield Arm(trainer.name, first, float(made.loss), steps, constant)
        trainer.step(made.gradients)


def by_adam(few: Step, constant: float | None, name: str, clock: Clock) -> Arm | None:
    """The best of RATES; the first that learns the rows."""
    best: Arm | None = None
    for rate in RATES:
        arm = learnt(Neutral(few, rate, name), few, constant, clock)
        best = arm if best is None or (arm is not None and arm.share > best.share) else best
        if best is not None and best.share >= LEARNT:
            break
    return best


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
