"""Train many variants in parallel on the same batches, and record their curves. Lanes with zero outputs stop early."""

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
"""Called with the lane-steps done since the last call, and the current activity."""
SLICE = 1_000
"""Images evaluated at a time: bounds the float copies of the bytes."""


@dataclass(frozen=True)
class Scores:
    """The evaluation of a network on a whole set of images."""

    accuracy: float
    loss: float
    zero: float
    """Share of the images whose logits are all exactly zero."""
    spread: float
    """Standard deviation of all logits."""
    dead: float
    """Share of the hidden units that are active on no image."""


@dataclass
class Course:
    """The training record of one variant with one seed."""

    variant: Variant
    seed: int
    losses: list[float] = field(default_factory=list)
    """Of every batch, before its update."""
    tests: list[Scores] = field(default_factory=list)
    """On the test images, after each epoch."""
    first_zero: int | None = None
    """The first step whose logits were all exactly zero."""
    died: int | None = None
    """The step from which on they stayed so until the end of the patience."""
    final: Scores | None = None
    """On the training images, at the end."""
    quiet: int = 0

    @property
    def last(self) -> Scores:
        """The last evaluation on the test images."""
        return self.tests[-1]

    def accuracy(self, epoch: int) -> float:
        """Test accuracy after an epoch (1, 2, ...); a stopped lane keeps its last."""
        return self.tests[min(epoch, len(self.tests)) - 1].accuracy

    def note(self, loss: float, silent: bool, patience: int) -> None:
        """Record one step."""
        step = len(self.losses)
        self.losses.append(loss)
        self.quiet = self.quiet + 1 if silent else 0
        if silent and self.first_zero is None:
            self.first_zero = step
        if self.quiet >= patience:
            self.died = step - patience + 1


class Trainer:
    """Networks trained in parallel, from the same initial weights and on the same batches."""

    def __init__(
        self, pictures: Pictures, variants: Sequence[Variant], protocol: Protocol, seed: int, workers: Workers
    ):
        self.pictures, self.protocol, self.workers = pictures, protocol, workers
        self.courses = {v: Course(v, seed) for v in variants}
        self.lanes = [Lane(v, start(seed, pictures.inputs, protocol, v.he)) for v in variants]

    def step(self, rows: Tensor) -> None:
        """Train every lane on one batch; lanes with zero outputs are removed."""
        inputs, labels = self._fed(self.lanes, self.pictures.train[rows]), self.pictures.train_labels[rows]
        losses = self.workers(lambda lane: lane.step(inputs[lane.variant.inputs], labels), self.lanes)
        for lane, loss in zip(self.lanes, losses, strict=True):
            self.courses[lane.variant].note(loss, lane.silent, self.protocol.patience)
        if dead := [lane for lane in self.lanes if self.courses[lane.variant].died is not None]:
            self.test(dead)  # within an epoch: evaluate now for the last time
            self.finish(dead)

    def test(self, lanes: Sequence[Lane]) -> None:
        """Evaluate lanes on the test images."""
        found = self._evaluated(lanes, self.pictures.test, self.pictures.test_labels)
        for lane, scores in zip(lanes, found, strict=True):
            self.courses[lane.variant].tests.append(scores)

    def finish(self, lanes: Sequence[Lane]) -> None:
        """Evaluate lanes on the training images and remove them."""
        finals = self._evaluated(lanes, self.pictures.train, self.pictures.train_labels)
        for lane, final in zip(lanes, finals, strict=True):
            self.courses[lane.variant].final = final
        self.lanes = [lane for lane in self.lanes if lane not in lanes]

    def _fed(self, lanes: Sequence[Lane], pixels: Tensor) -> Fed:
        return fed(self.pictures, pixels, (lane.variant for lane in lanes), workers=self.workers)

    def _evaluated(self, lanes: Sequence[Lane], pixels: Tensor, labels: Tensor) -> list[Scores]:
        """Evaluate every lane on the given images, a slice at a time."""
        parts: list[list[tuple[Tensor, Tensor]]] = []
        for part in pixels.split(SLICE):
            inputs = self._fed(lanes, part)
            parts.append(self.workers(lambda lane, given=inputs: _answers(lane, given), lanes))
        return [_scores(answers, labels) for answers in zip(*parts, strict=True)]


def planned(pictures: Pictures, variants: Sequence[Variant], protocol: Protocol, epochs: int) -> int:
    """The number of lane-steps of `train`."""
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
    """Train every variant; one course per variant, in order. The steps that stopped lanes skip are counted at once."""
    trainer = Trainer(pictures, variants, protocol, seed, workers)
    batches, length = order(pictures, seed, protocol.batch), steps_per_epoch(pictures, protocol.batch)
    for epoch in range(1, epochs + 1):
        begun = sum(_length(v, epochs) >= epoch for v in variants)
        for rows in islice(batches, length):
            tick(begun, f"seed {seed}, epoch {epoch} of {epochs}, {len(trainer.lanes)} networks at once")
            if trainer.lanes:
                trainer.step(rows)
        trainer.test(trainer.lanes)
        trainer.finish([lane for lane in trainer.lanes if _length(lane.variant, epochs) == epoch])
    return list(trainer.courses.values())


def _length(variant: Variant, epochs: int) -> int:
    return min(epochs, variant.epochs or epochs)


def _answers(lane: Lane, inputs: Fed) -> tuple[Tensor, Tensor]:
    """Logits (n, classes), and which hidden units were active on at least one image (hidden,)."""
    hidden = lane.hidden(inputs[lane.variant.inputs])
    return lane.outputs(hidden), (hidden > 0).any(0)


def _scores(answers: Sequence[tuple[Tensor, Tensor]], labels: Tensor) -> Scores:
    """Combine the slices' logits and active units."""
    logits, fired = (list(part) for part in zip(*answers, strict=True))
    whole = torch.cat(logits)
    return Scores(
        accuracy=(whole.argmax(1) == labels).double().mean().item(),
        loss=torch.nn.functional.cross_entropy(whole, labels).item(),
        zero=(whole == 0).all(1).double().mean().item(),
        spread=whole.double().std().item(),
        dead=1.0 - torch.stack(fired).any(0).double().mean().item(),
    )
