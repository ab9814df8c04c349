"""Train many variants side by side on the same batches, and write down how each fared. Lanes that died stop early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import torch

from unstuck.studies.cifar.inputs import Pictures, order, steps_per_epoch
from unstuck.studies.cifar.network import Lane, start
from unstuck.studies.cifar.variants import Protocol, Variant

Tick = Callable[[int, str], None]
"""Called with the lane-steps done since the last call, and what is being done."""
SLICE = 2_000
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
    epochs: float = 0.0
    """Epochs trained until the end or death."""
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


def planned(pictures: Pictures, variants: Sequence[Variant], protocol: Protocol, epochs: int) -> int:
    """Lane-steps that `train` ticks in all."""
    return sum(_length(v, epochs) for v in variants) * steps_per_epoch(pictures, protocol.batch)


def train(
    pictures: Pictures, variants: Sequence[Variant], protocol: Protocol, *, seed: int, epochs: int, tick: Tick
) -> list[Course]:
    """Train every variant from the same initial weights on the same batches; one course per variant, in order."""
    courses = {v: Course(v, seed) for v in variants}
    lanes = [Lane(v, start(seed, pictures.inputs, protocol, v.he)) for v in variants]
    batches = order(pictures, seed, protocol.batch)
    length = steps_per_epoch(pictures, protocol.batch)
    for epoch in range(1, epochs + 1):
        begun = len(lanes)
        for rows in islice(batches, length):
            lanes = _stepped(pictures, lanes, courses, rows, protocol.patience)
            tick(begun, f"seed {seed}, epoch {epoch} of {epochs}, {len(lanes)} networks at once")
        for lane, exam in zip(lanes, examined(pictures, lanes, pictures.test, pictures.test_labels), strict=True):
            courses[lane.variant].tests.append(exam)
        lanes = _graduated(pictures, lanes, courses, epoch, epochs)
        if not lanes:
            break
    return list(courses.values())


def _length(variant: Variant, epochs: int) -> int:
    return min(epochs, variant.epochs or epochs)


def _stepped(
    pictures: Pictures, lanes: list[Lane], courses: dict[Variant, Course], rows: torch.Tensor, patience: int
) -> list[Lane]:
    """One step of every lane; the lanes that go on."""
    inputs = pictures.fed(pictures.train[rows], (lane.variant.inputs for lane in lanes))
    labels = pictures.train_labels[rows]
    for lane in lanes:
        loss = lane.step(inputs[lane.variant.inputs], labels)
        courses[lane.variant].note(loss, lane.silent, patience)
    if dead := [lane for lane in lanes if courses[lane.variant].died is not None]:
        _finish(pictures, dead, courses)
    return [lane for lane in lanes if courses[lane.variant].died is None]


def _graduated(
    pictures: Pictures, lanes: list[Lane], courses: dict[Variant, Course], epoch: int, epochs: int
) -> list[Lane]:
    """Finish the lanes that were to train no longer; the others."""
    done = [lane for lane in lanes if _length(lane.variant, epochs) <= epoch]
    _finish(pictures, done, courses)
    return [lane for lane in lanes if lane not in done]


def _finish(pictures: Pictures, lanes: list[Lane], courses: dict[Variant, Course]) -> None:
    finals = examined(pictures, lanes, pictures.train, pictures.train_labels)
    for lane, final in zip(lanes, finals, strict=True):
        course = courses[lane.variant]
        course.final = final
        course.epochs = len(course.losses) / steps_per_epoch(pictures, lane.protocol.batch)
        if course.died is not None:  # it died within an epoch: its last exam is now
            course.tests += examined(pictures, [lane], pictures.test, pictures.test_labels)


def examined(pictures: Pictures, lanes: Sequence[Lane], pixels: torch.Tensor, labels: torch.Tensor) -> list[Exam]:
    """Every lane on the given pictures."""
    logits: list[list[torch.Tensor]] = [[] for _ in lanes]
    fired = [torch.zeros(len(lane.weights[0]), dtype=torch.bool) for lane in lanes]
    for part in pixels.split(SLICE):
        inputs = pictures.fed(part, (lane.variant.inputs for lane in lanes))
        for number, lane in enumerate(lanes):
            hidden = lane.hidden(inputs[lane.variant.inputs])
            fired[number] |= (hidden > 0).any(0)
            logits[number].append(lane.outputs(hidden))
    return [_exam(torch.cat(z), labels, f) for z, f in zip(logits, fired, strict=True)]


def _exam(logits: torch.Tensor, labels: torch.Tensor, fired: torch.Tensor) -> Exam:
    return Exam(
        accuracy=(logits.argmax(1) == labels).double().mean().item(),
        loss=torch.nn.functional.cross_entropy(logits, labels).item(),
        zero=(logits == 0).all(1).double().mean().item(),
        spread=logits.double().std().item(),
        dead=1.0 - fired.double().mean().item(),
    )
