"""A few rows trained on for a few dozen steps: with the script's own optimizer, at other rates, and with Adam."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.micro.step import Recorded, Step
from unstuck.micro.training import optimizers_of, step
from unstuck.tape.interpreter import CannotReplay
from unstuck.tape.model import Tape

STEPS = 60
RATES = (1e-2, 1e-3, 1e-1)
"""Of Adam: about the size of each weight's step. 1e-2 moves weights of usual size by their own size in STEPS steps."""
FACTORS = (0.1, 10.0, 0.01, 100.0, 1e-3, 1e3)
"""Of the script's own rate, the nearer ones first."""
LEARNT = 0.8
"""Share of the constant answer's loss that is gone where rows are learnt by heart."""
HALF = 0.5
"""The same where another rate is said to learn them."""
FEWEST, PATIENT = 16, 30
"""Steps of an arm that is cut off for time and still counts beside another of as many, and those without which nothing
is said where both get nowhere."""
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
    def bottomless(self) -> bool:
        """The loss may be below 0, as a likelihood with a variance is: no share of it says what is left."""
        return min(self.first, self.last, self.first if self.constant is None else self.constant) < 0

    @property
    def over(self) -> bool:
        """The rows are learnt, or there is nothing to go on from."""
        return self.share >= LEARNT or not math.isfinite(self.last)

    @property
    def losses(self) -> str:
        """The loss before and after."""
        return f"loss {self.first:.4g} -> {self.last:.4g} in {self.steps} steps"


class Clock:
    """What is left of some seconds of this thread's work."""

    def __init__(self, seconds: float) -> None:
        self._until = time.thread_time() + seconds

    def part(self, share: float) -> Clock:
        """A clock for a share of what is left."""
        return Clock(share * (self._until - time.thread_time()))

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return time.thread_time() > self._until


class Own:
    """The script's own optimizers, each at its recorded rates times a factor, over copies of the first weights."""

    def __init__(self, recorded: Recorded, few: Step, factor: float = 1.0) -> None:
        self._tape, self._factor = recorded.tape, factor
        self.weights = {name: w.detach().clone() for name, w in few.weights.items()}
        held = {name: self.weights[name] for name in few.trained}
        self._optimizers = optimizers_of(recorded.tape, held)
        for group in (g for o in self._optimizers.values() for g in o.param_groups):
            group["lr"] *= factor
        self._updates = {n: [u for u in recorded.tape.updates if u.optimizer == n] for n in self._optimizers}
        self._kept = _uncleared(recorded.tape) & held.keys()
        self._made = 0

    @property
    def name(self) -> str:
        """The optimizers' names."""
        names = dict.fromkeys(f"the script's {self._tape.optimizers[n].name}" for n in self._optimizers)
        return " and ".join(names) + (f" at {self._factor:g} times its rate" if self._factor != 1 else "")

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
            step(optimizer, self._tape.optimizers[number].clip, [r * self._factor for r in update.rates])
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


def learnt(trainer: Own | Neutral, few: Step, constant: float | None, clock: Clock, steps: int = STEPS) -> Arm | None:
    """The rows trained on until they are learnt, the steps are made, or the time is over; None after too few steps."""
    last: Arm | None = None
    for last in _trained(trainer, few, constant, steps):
        if last.over or clock.over:
            break
    return last if last is not None and (last.over or last.steps >= FEWEST) else None


def _trained(trainer: Own | Neutral, few: Step, constant: float | None, steps: int) -> Iterator[Arm]:
    """The arm before the first step and after each."""
    first = math.nan
    for at in range(steps + 1):
        made = few.with_(weights=trainer.weights).backward()
        first = first if at else float(made.loss)
        yield Arm(trainer.name, first, float(made.loss), at, constant)
        trainer.step(made.gradients)


def by_adam(few: Step, constant: float | None, name: str, clock: Clock, steps: int = STEPS) -> Arm | None:
    """The best of RATES; the first that learns the rows."""
    best: Arm | None = None
    for rate in RATES:
        arm = learnt(Neutral(few, rate, name), few, constant, clock, steps)
        best = arm if best is None or (arm is not None and arm.share > best.share) else best
        if best is not None and best.share >= LEARNT:
            break
    return best


def at_other_rates(recorded: Recorded, few: Step, constant: float | None, clock: Clock) -> tuple[float, Arm] | None:
    """The first of FACTORS at which the script's own optimizer learns half of the rows, and the arm."""
    for factor in FACTORS:
        if clock.over:
            return None
        arm = learnt(Own(recorded, few, factor), few, constant, clock)
        if arm is not None and arm.share >= HALF:
            return factor, arm
    return None
