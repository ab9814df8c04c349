"""All measurements of the study, from which its sections are written."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from unstuck.report.html.figures import Spread
from unstuck.tabular.studies.cifar import identities, machine, microscope, training
from unstuck.tabular.studies.cifar.identities import Identity
from unstuck.tabular.studies.cifar.inputs import Pictures
from unstuck.tabular.studies.cifar.machine import Pace
from unstuck.tabular.studies.cifar.microscope import Watch
from unstuck.tabular.studies.cifar.training import Course, Scores
from unstuck.tabular.studies.cifar.variants import (
    ASKED,
    CONTROLS,
    PREDICTED,
    REPEATED,
    SCALES,
    WATCHED,
    Protocol,
    Variant,
    at_scale,
)
from unstuck.tabular.studies.cifar.workers import Workers, workers
from unstuck.tabular.studies.story import Progress, Request

PROTOCOL = Protocol()


@dataclass(frozen=True)
class Plan:
    """How much is run."""

    seeds: int = 2
    """The first seed runs everything, further ones repeat the runs of the question."""
    epochs: int = 20
    watched: int = 40
    compared: int = 200
    scales: tuple[float, ...] = SCALES
    protocol: Protocol = PROTOCOL

    @classmethod
    def of(cls, request: Request) -> Plan:
        """The plan for a request; the whole protocol by default."""
        if request.quick:
            return cls(request.seeds or 1, request.epochs or 2, watched=12, compared=20, scales=SCALES[2::3])
        return cls(request.seeds or cls.seeds, request.epochs or cls.epochs)

    def lane_steps(self, pictures: Pictures) -> int:
        """The work, in training steps of one network."""
        runs = [self.variants(seed) for seed in range(self.seeds)]
        sweep = [v for pair in self.sweep for v in pair]
        return (
            sum(training.planned(pictures, r, self.protocol, self.epochs) for r in runs)
            + training.planned(pictures, sweep, self.protocol, 1)
            + microscope.planned(WATCHED, self.watched)
            + identities.planned(self.compared)
        )

    def variants(self, seed: int) -> tuple[Variant, ...]:
        """The variants to run with this seed."""
        return (*ASKED, *PREDICTED, *CONTROLS) if seed == 0 else REPEATED

    @property
    def sweep(self) -> list[tuple[Variant, Variant]]:
        """For each input scale, the program as it is and fixed."""
        return [(at_scale(c, False), at_scale(c, True)) for c in self.scales]


@dataclass(frozen=True)
class Evidence:
    """The measurements."""

    plan: Plan
    courses: dict[Variant, list[Course]]
    """By variant, in the order of the seeds."""
    watches: dict[Variant, Watch]
    identities: list[Identity]
    sweep: list[tuple[Course, Course]]
    """For each input scale, as it is and fixed."""
    pace: Pace
    seconds: float

    def accuracy(self, variant: Variant, epoch: int | None = None) -> Spread:
        """Test accuracy in percent over the seeds, at the end or after an epoch."""
        found = (c.last.accuracy if epoch is None else c.accuracy(epoch) for c in self.courses[variant])
        return Spread(tuple(100 * a for a in found))

    def best(self, variant: Variant) -> float:
        """The best test accuracy after any epoch, in percent, first seed."""
        return 100 * max(scores.accuracy for scores in self.courses[variant][0].tests)

    def over_training(self, variant: Variant, what: Callable[[Scores], float]) -> Spread:
        """A property of the final networks on the training images."""
        return Spread(tuple(what(c.final) for c in self.courses[variant] if c.final is not None))

    def loss(self, variant: Variant) -> Spread:
        """Final training loss."""
        return self.over_training(variant, lambda scores: scores.loss)

    def dead(self, variant: Variant) -> Spread:
        """Hidden units that are active on no training image, percent."""
        return self.over_training(variant, lambda scores: 100 * scores.dead)

    def spread(self, variant: Variant) -> Spread:
        """Standard deviation of the logits over the training images."""
        return self.over_training(variant, lambda scores: scores.spread)

    @property
    def epochs(self) -> int:
        """The number of epochs of the main runs."""
        return self.plan.epochs

    @property
    def short(self) -> int:
        """The number of epochs of the control runs."""
        return min(8, self.epochs)


def gather(pictures: Pictures, plan: Plan, progress: Progress) -> Evidence:
    """Run the whole plan. `progress` is first called with an estimate of the duration."""
    begun, threads = time.perf_counter(), torch.get_num_threads()
    with workers() as pool:
        pace = machine.measured(pictures, plan.protocol, threads)
        work = _Work(plan.lane_steps(pictures), progress)
        work.tell(f"about {span(work.total * pace.lane / threads)} left")
        return _gathered(pictures, plan, work.tick, pool, pace, begun)


def _gathered(pictures: Pictures, plan: Plan, tick: training.Tick, pool: Workers, pace: Pace, begun: float) -> Evidence:
    common = {"tick": tick, "workers": pool}
    watches = microscope.watch(pictures, WATCHED, plan.protocol, seed=0, steps=plan.watched, **common)
    found = identities.compared(pictures, plan.protocol, seed=0, steps=plan.compared, **common)
    sweep = plan.sweep
    every = [v for pair in sweep for v in pair]
    swept = iter(training.train(pictures, every, plan.protocol, seed=0, epochs=1, **common))
    courses: dict[Variant, list[Course]] = {v: [] for v in plan.variants(0)}
    for seed in range(plan.seeds):
        variants = plan.variants(seed)
        for course in training.train(pictures, variants, plan.protocol, seed=seed, epochs=plan.epochs, **common):
            courses[course.variant].append(course)
    pairs = list(zip(swept, swept, strict=True))
    return Evidence(plan, courses, watches, found, pairs, pace, time.perf_counter() - begun)


class _Work:
    """Counts lane-steps and reports the share done."""

    def __init__(self, total: int, progress: Progress) -> None:
        self.total, self.progress = total, progress
        self.done = 0

    def tell(self, what: str) -> None:
        """Report the current activity."""
        self.progress(min(1.0, self.done / self.total), what)

    def tick(self, steps: int, what: str) -> None:
        """Count finished steps and report."""
        self.done += steps
        self.tell(what)


def span(seconds: float) -> str:
    """A duration as text."""
    return f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
