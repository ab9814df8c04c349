"""Train all variants and seeds of the rice study in parallel, each seed with its own split and order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

from unstuck.tabular.studies.lanes import Lanes, packed, with_one
from unstuck.tabular.studies.nets import Net, Pace, module
from unstuck.tabular.studies.rice.table import FACTORS, PLAIN, Rice, Split, formed, split, stretched

BATCH, RATE, HIDDEN, EPOCHS = 8, 1e-3, 25, 10
"""The thread's settings."""
TOGETHER = 20
"""Seeds per stack: more are not faster, and the batches of an epoch would not fit in memory."""


@dataclass(frozen=True)
class Variant:
    """One variant: the form of the inputs, the loss, the hidden activation, and whether the id is an input."""

    form: str
    loss: str
    hidden: str = "none"
    with_id: bool = False
    seen: str = "all rows"
    """The rows whose statistics scale the inputs: `all rows` before the split, as in the thread, or `train`."""

    @property
    def name(self) -> str:
        """`max-abs, BCELoss, ReLU`."""
        words = [self.form, "BCELoss" if self.loss == "probabilities" else "BCEWithLogitsLoss"]
        words += ["ReLU"] * (self.hidden == "relu") + ["id kept"] * self.with_id
        return ", ".join(words + ["statistics of the training rows"] * (self.seen == "train"))


@dataclass
class Course:
    """One lane: what the program would have printed per epoch, the true values, and the final state."""

    variant: Variant
    seed: int
    train_loss: list[float] = field(default_factory=list)
    """Sum over the epoch's batches."""
    printed_right: list[float] = field(default_factory=list)
    """Share of the training rows that `prediction.round() == label` counts."""
    val_loss: list[float] = field(default_factory=list)
    """Sum over the batches of the validation rows."""
    val_right: list[float] = field(default_factory=list)
    test_right: float = 0.0
    zeros: float = 0.0
    """Share of the test rows whose output is exactly 0.0, and of those whose output is exactly 1.0."""
    ones: float = 0.0
    moved: bool = False
    """Whether any bit of any weight has changed."""
    silent: list[bool] = field(default_factory=list)
    """Whether all outputs of the epoch, on training and validation rows, were exactly 0.0."""
    last_label: list[float] = field(default_factory=list)
    """The label of the last training row of each epoch (alone in the last batch if one row is left over)."""
    weights: Tensor | None = None

    @property
    def stuck(self) -> bool:
        """Whether at least 99 % of the outputs are the same number."""
        return max(self.zeros, self.ones) > 0.99


@dataclass(frozen=True)
class Trained:
    """All courses by variant, in the order of the seeds, and their cost in seconds of processor time."""

    courses: dict[Variant, list[Course]]
    lane_steps: int
    seconds: float


def variants(rice: Rice) -> tuple[Variant, ...]:
    """All combinations of input form and loss, with and without ReLU and the id."""
    ids = (False, True) if rice.ids is not None else (False,)
    every = product(PLAIN, ("probabilities", "logits"), ("none", "relu"), ids)
    more = (Variant("max-abs", "probabilities", seen="train"), Variant("z-score", "logits", seen="train"))
    return (*(Variant(*one) for one in every), *more)


def stretches() -> tuple[Variant, ...]:
    """Scaled columns times powers of ten, with both losses."""
    return tuple(Variant(stretched(f), loss) for loss in ("probabilities", "logits") for f in FACTORS)


def train_all(
    rice: Rice, every: Sequence[Variant], seeds: int, epochs: int, progress: Callable[[float], None]
) -> Trained:
    """Train these variants with every seed; `progress` is called with the share done."""
    began, steps, courses = time.process_time(), 0, {v: [] for v in every}
    stacks = [(kind, chunk) for kind in _kinds(tuple(courses)) for chunk in _chunks(seeds)]
    for at, (kind, chunk) in enumerate(stacks):
        stack = _Stack(rice, kind, chunk)
        for epoch in range(epochs):
            steps += stack.epoch()
            progress((at + (epoch + 1) / epochs) / len(stacks))
        for course in stack.finished():
            courses[course.variant].append(course)
    return Trained(courses, steps, time.process_time() - began)


def _kinds(every: Sequence[Variant]) -> Iterator[list[Variant]]:
    """Group variants that differ only in their inputs and can share a stack."""
    for loss, hidden, with_id in dict.fromkeys((v.loss, v.hidden, v.with_id) for v in every):
        yield [v for v in every if (v.loss, v.hidden, v.with_id) == (loss, hidden, with_id)]


def _chunks(seeds: int) -> list[range]:
    return [range(at, min(seeds, at + TOGETHER)) for at in range(0, seeds, TOGETHER)]


class _Stack:
    """Variants x seeds of one kind of network: lane number = variant * seeds + seed."""

    def __init__(self, rice: Rice, kind: list[Variant], seeds: range) -> None:
        x = rice.inputs(kind[0].with_id)
        self.net = net_of(kind[0], x.shape[1])
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.splits = [split(len(rice.y), generator) for generator in self.generators]
        self.courses = [Course(v, seed) for v in kind for seed in seeds]
        self.variants, self.labels = len(kind), torch.from_numpy(rice.y).float()
        self.tables = [with_one(_table(x, c.variant, self.splits[i % len(seeds)])) for i, c in enumerate(self.courses)]
        start = torch.stack([packed(module(self.net, seed)) for seed in seeds])
        self.lanes = Lanes(self.net, start.repeat(len(kind), 1), [Pace(RATE)] * len(self.courses))
        self.start = self.lanes.weights.clone()

    @torch.no_grad()
    def epoch(self) -> int:
        """One epoch of every lane; returns the number of lane-steps."""
        orders = torch.stack([s.train[_shuffled(s, g)] for s, g in zip(self.splits, self.generators, strict=True)])
        whole = orders.shape[1] // BATCH * BATCH
        parts = [p for p in (orders[:, :whole], orders[:, whole:]) if p.shape[1]]
        logits = [self._train(part, min(BATCH, part.shape[1])) for part in parts]
        self._note(logits, [self.labels[p] for p in parts])
        for i, course in enumerate(self.courses):
            course.last_label.append(float(self.labels[orders[i % len(orders), -1]]))
        return -(-orders.shape[1] // BATCH) * len(self.courses)

    def _train(self, orders: Tensor, size: int) -> Tensor:
        """Train on batches of `size` rows of these orders (seeds, n); the logits before each update, (lanes, n)."""
        lanes, steps = len(self.courses), orders.shape[1] // size
        rows = orders.repeat(self.variants, 1)
        x = torch.stack([t[r] for t, r in zip(self.tables, rows, strict=True)])
        x = x.unflatten(1, (steps, size)).transpose(0, 1).contiguous()
        y = self.labels[rows].unflatten(1, (steps, size)).transpose(0, 1).contiguous().unsqueeze(2)
        shares, logits = torch.full((1, 1, size), 1 / size), torch.empty(steps, lanes, size)
        for step in range(steps):
            logits[step] = self.lanes.step(x[step], y[step], shares)
        return logits.transpose(0, 1).flatten(1)

    def _note(self, logits: list[Tensor], labels: list[Tensor]) -> None:
        losses, right = torch.zeros(len(self.courses)).double(), torch.zeros(len(self.courses))
        for z, y in zip(logits, labels, strict=True):
            y = y.repeat(self.variants, 1)
            losses += _batch_losses(self.net, z, y).sum(1).double()
            right += (_written(self.net, z).round() == y).sum(1)
        val, y_val = self._predict("val")
        val_losses, val_right = _batch_losses(self.net, val, y_val).sum(1), ((val > 0) == (y_val > 0.5)).float().mean(1)
        for i, course in enumerate(self.courses):
            course.train_loss.append(float(losses[i]))
            course.printed_right.append(float(right[i]) / sum(z.shape[1] for z in logits))
            course.val_loss.append(float(val_losses[i]))
            course.val_right.append(float(val_right[i]))
            course.silent.append(not any(_written(self.net, z[i]).any() for z in (*logits, val)))

    def _predict(self, part: str) -> tuple[Tensor, Tensor]:
        """Logits and labels (lanes, n) of a part of each seed's split."""
        rows = [getattr(s, part) for s in self.splits] * self.variants
        z = self.lanes.logits(torch.stack([t[r] for t, r in zip(self.tables, rows, strict=True)]))
        return z, self.labels[torch.stack(rows)]

    def finished(self) -> list[Course]:
        """The courses, with the final evaluation on the test rows."""
        z, y = self._predict("test")
        p = z.sigmoid()
        for i, course in enumerate(self.courses):
            course.test_right = float(((z[i] > 0) == (y[i] > 0.5)).float().mean())
            course.zeros, course.ones = float((p[i] == 0).float().mean()), float((p[i] == 1).float().mean())
            course.weights = self.lanes.weights[i].clone()
            course.moved = bool((course.weights != self.start[i]).any())
        return self.courses


def net_of(variant: Variant, inputs: int) -> Net:
    """The network of a variant."""
    return Net(inputs, HIDDEN, variant.hidden, variant.loss)  # type: ignore[arg-type]


def _table(x, variant: Variant, rows: Split) -> Tensor:
    return formed(x, variant.form, rows.train if variant.seen == "train" else None)


def _shuffled(rows: Split, generator: torch.Generator) -> Tensor:
    return torch.randperm(len(rows.train), generator=generator)


def _written(net: Net, z: Tensor) -> Tensor:
    """The program's prediction: the sigmoid's output, or the logit."""
    return z.sigmoid() if net.loss == "probabilities" else z


def _batch_losses(net: Net, z: Tensor, y: Tensor) -> Tensor:
    """The loss of every batch of rows (lanes, n) in training order: (lanes, batches)."""
    loss = binary_cross_entropy if net.loss == "probabilities" else binary_cross_entropy_with_logits
    each = loss(_written(net, z), y, reduction="none")
    return torch.stack([part.mean(1) for part in each.split(BATCH, 1)], 1)
