"""The speed of the machine, and of the study: its cost is that of its matrix products."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from statistics import median

import torch

from unstuck.tabular.studies.cifar.inputs import Pictures, order
from unstuck.tabular.studies.cifar.network import Lane, start, work
from unstuck.tabular.studies.cifar.variants import BASELINE, Protocol

LANES = 3
"""Networks trained in parallel while measuring; also the width of the wide product."""
ROUNDS = 8


@dataclass(frozen=True)
class Pace:
    """Medians over several rounds, interleaved so that a busy machine slows all of them."""

    narrow: float
    """Rate of the products of one network, GFLOP/s: forward and weight gradient of layer 1."""
    wide: float
    """The same for networks stacked into one wide product."""
    plain: float
    """Seconds per step and network, one by one in plain PyTorch."""
    lane: float
    """Seconds per step and network, in parallel on shared batches."""
    step: float
    """GFLOP of one step of one network."""
    workers: int
    """Number of cores used."""

    @property
    def rate(self) -> float:
        """GFLOP/s of the study's own steps."""
        return self.step / self.lane

    @property
    def share(self) -> float:
        """The share of the rate of the bare products."""
        return self.rate / self.narrow


def measured(pictures: Pictures, protocol: Protocol, workers: int, rounds: int = ROUNDS) -> Pace:
    """Measure one of the workers: a few seconds."""
    batches = [
        (pictures.train[r], pictures.train_labels[r]) for r in islice(order(pictures, 0, protocol.batch), rounds + 1)
    ]
    plain, side = _plain(pictures, protocol), _side_by_side(pictures, protocol)
    narrow, wide = (_products(pictures.inputs, protocol, w) for w in (1, LANES))
    spans = [[_seconds(job, batch) for job in (narrow, wide, plain, side)] for batch in batches][1:]
    products = 2 * 2 * protocol.batch * pictures.inputs * protocol.hidden / 1e9
    one, many, alone, together = (median(column) for column in zip(*spans, strict=True))
    return Pace(
        products / one,
        LANES * products / many,
        alone,
        together / LANES,
        work(pictures.inputs, protocol),
        workers,
    )


Batch = tuple[torch.Tensor, torch.Tensor]
"""Bytes and labels."""


def _seconds(job: Callable[[Batch], object], batch: Batch) -> float:
    begun = time.perf_counter()
    job(batch)
    return time.perf_counter() - begun


def _products(inputs: int, protocol: Protocol, width: int) -> Callable[[Batch], object]:
    """The two dominant products, for `width` networks at once."""
    x, weights = torch.rand(protocol.batch, inputs), torch.rand(width * protocol.hidden, inputs)
    hidden, gradient = torch.empty(protocol.batch, len(weights)), torch.empty_like(weights)

    def job(_: Batch) -> None:
        torch.mm(x, weights.t(), out=hidden)
        torch.mm(hidden.t(), x, out=gradient)

    return job


def plain_program(inputs: int, protocol: Protocol, seed: int = 0) -> tuple[torch.nn.Sequential, torch.optim.Optimizer]:
    """The asker's network and optimizer in the original form."""
    model = torch.nn.Sequential(
        torch.nn.Linear(inputs, protocol.hidden, bias=False),
        torch.nn.ReLU(),
        torch.nn.Linear(protocol.hidden, protocol.classes, bias=False),
    )
    for weight, drawn in zip(model.parameters(), start(seed, inputs, protocol), strict=True):
        weight.data.copy_(drawn)
    return model, torch.optim.SGD(model.parameters(), **BASELINE.recipe.layers[0].weight.settings)


def _plain(pictures: Pictures, protocol: Protocol) -> Callable[[Batch], object]:
    """One step of the asker's program."""
    model, optimizer = plain_program(pictures.inputs, protocol)

    def job(batch: Batch) -> float:
        x = pictures.prepared(batch[0], "unit", 1.0, torch.float32)
        loss = torch.nn.functional.cross_entropy(model(x), batch[1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return job


def _side_by_side(pictures: Pictures, protocol: Protocol) -> Callable[[Batch], object]:
    """One step of several networks of the study."""
    lanes = [Lane(BASELINE, start(seed, pictures.inputs, protocol)) for seed in range(LANES)]

    def job(batch: Batch) -> Iterable[float]:
        x = pictures.prepared(batch[0], "unit", 1.0, torch.float32)
        return [lane.step(x, batch[1]) for lane in lanes]

    return job
