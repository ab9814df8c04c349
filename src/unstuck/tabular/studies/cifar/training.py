"""Train many variants side by side on the same batches, and write down how each fared. Lanes that died stop early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor

from unstuck.tabular.studies.cifar.inputs import Fed, Pictures, fed, order, steps_per_epoch
from unstuck.tabular.studies.cifar.network import Lane, start
from unstuck.tabular.studies.cifar.variants import Protocol, Variant
from unstuck.tabular.studies.cifar.workers import Workers, alone

Tick = Callable[[int, str], None]
"""Called with the lane-steps done since the last call, and what is being done."""
SLICE = 1_000
"""Pictures evaluated at a time: bounds the float copies of the bytes."""


@dataclass(frozen=True)
class Exam:
    """A network over a whole set of pictures."""

    accuracy: float
    loss: float
    zero: float
    """Share of the pictures all of whose logits are exactly zero."""
    spread: float
    """Standard deviation of all logits."""
    dead: float
    """Share of the hidden units that fire on none of the pictures."""


@dataclass
class Course:
    """What became of one variant with one seed."""

    variant: Variant
    seed: int
    losses: list[float] = field(default_factory=list)
    """Of every batch, before its update."""
    tests: list[Exam] = field(default_factory=list)
    """On the test pictures, after each epoch."""
    first_zero: int | None = None
    """The first step all of whose logits were exactly zero."""
    died: int | None = None
    """The step from which on they stayed so, for as long as was waited."""
    final: Exam | None = None
    """On the training pictures, at the end."""
    quiet: int = 0

    @property
    def last(self) -> Exam:
        """The last exam on the test pictures."""
        return self.tests[-1]

    def accuracy(self, epoch: int) -> float:
        """Test accuracy after an epoch (1, 2, ...); a dead lane keeps its last."""
        return self.tests[min(epoch, len(self.tests)) - 1].accuracy

    def note(self, loss: float, silent: bool, patience: int) -> None:
        """Take down one step."""
        step = len(self.losses)
        self.losses.append(loss)
        self.quiet = self.quiet + 1 if silent else 0
        if silent and self.first_zero is None:
            self.first_zero = step
        if self.quiet >= patience:
            self.died = step - patience + 1


class Race:
    """Networks in training side by side, from the same initial weights and on the same batches."""

    def __init__(
        self, pictures: Pictures, variants: Sequence[Variant], protocol: Protocol, seed: int, workers: Workers
    ):
        self.pictures, self.protocol, self.workers = pictures, protocol, workers
        self.courses = {v: Course(v, seed) for v in variants}
        self.lanes = [Lane(v, start(seed, pictures.inputs, protocol, v.he)) for v in variants]

    def step(self, rows: Tensor) -> None:
        """Train every lane on one batch; those that died leave."""
        inputs, labels = self._fed(self.lanes, self.pictures.train[rows]), self.pictures.train_labels[rows]
        losses = self.workers(lambda lane: lane.step(inputs[lane.variant.inputs], labels), self.lanes)
        for lane, loss in zip(self.lanes, losses, strict=True):
            self.courses[lane.variant].note(loss, lane.silent, self.protocol.patience)
        if dead := [lane for lane in self.lanes if self.courses[lane.variant].died is not None]:
            self.test(dead)  # it died within an epoch: its last exam is now
            self.finish(dead)

    def test(self, lanes: Sequence[Lane]) -> None:
        """Examine lanes on the test pictures."""
        for lane, exam in zip(lanes, self._examined(lanes, self.pictures.test, self.pictures.test_labels), strict=True):
            self.courses[lane.variant].tests.append(exam)

    def finish(self, lanes: Sequence[Lane]) -> None:
        """Examine lanes on the training pictures; they leave."""
        finals = self._examined(lanes, self.pictures.train, self.pictures.train_labels)
        for lane, final in zip(lanes, finals, strict=True):
            self.courses[lane.variant].final = final
        self.lanes = [lane for lane in self.lanes if lane not in lanes]

    def _fed(self, lanes: Sequence[Lane], pixels: Tensor) -> Fed:
        return fed(self.pictures, pixels, (lane.variant for lane in lanes), workers=self.workers)

    def _examined(self, lanes: Sequence[Lane], pixels: Tensor, labels: Tensor) -> list[Exam]:
        """Every lane on the given pictures, a slice at a time."""
        parts: list[list[tuple[Tensor, Tensor]]] = []
        for part in pixels.split(SLICE):
            inputs = self._fed(lanes, part)
            parts.append(self.workers(lambda lane, given=inputs: _answers(lane, given), lanes))
        return [_exam(answers, labels) for answers in zip(*parts, strict=True)]


def planned(pictures: Pictures, variants: Sequence[Variant], protocol: Protocol, epochs: int) -> int:
    """Lane-steps that `train` ticks in all."""
    return sum(_length(v, epochs) for v in variants) * steps_per_epoch(pictures, protocol.batch)


def train(
    pictures: Pictures,
    variants: Sequence[Variant],
    protocol: Protocol,
    *,
    seed: int,
    epochs: int,
    tick: Tick,
    workers: Workers = alone,
) -> list[Course]:
    """Train every variant; one course per variant, in order. What is left undone by dead lanes is ticked at once."""
    race = Race(pictures, variants, protocol, seed, workers)
    batches, length = order(pictures, seed, protocol.batch), steps_per_epoch(pictures, protocol.batch)
    for epoch in range(1, epochs + 1):
        begun = sum(_length(v, epochs) >= epoch for v in variants)
        for rows in islice(batches, length):
            tick(begun, f"seed {seed}, epoch {epoch} of {epochs}, {len(race.lanes)} networks at once")
            if race.lanes:
                race.step(rows)
        race.test(race.lanes)
        race.finish([lane for lane in race.lanes if _length(lane.variant, epochs) == epoch])
    return list(race.courses.values())


def _length(variant: Variant, epochs: int) -> int:
    return min(epochs, variant.epochs or epochs)


def _answers(lane: Lane, inputs: Fed) -> tuple[Tensor, Tensor]:
    """Logits (n, classes), and which hidden units fired on at least one picture (hidden,)."""
    hidden = lane.hidden(inputs[lane.variant.inputs])
    return lane.outputs(hidden), (hidden > 0).any(0)


def _exam(answers: Sequence[tuple[Tensor, Tensor]], labels: Tensor) -> Exam:
    """From the slices' logits and units that fired."""
    logits, fired = (list(part) for part in zip(*answers, strict=True))
    whole = torch.cat(logits)
    return Exam(
        accuracy=(whole.argmax(1) == labels).double().mean().item(),
        loss=torch.nn.functional.cross_entropy(whole, labels).item(),
        zero=(whole == 0).all(1).double().mean().item(),
        spread=whole.double().std().item(),
        dead=1.0 - torch.stack(fired).any(0).double().mean().item(),
    )
