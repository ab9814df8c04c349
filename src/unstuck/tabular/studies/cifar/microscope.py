"""The first steps of a run in detail: loss, gradient, pre-activations, dead units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor

from unstuck.tabular.studies.cifar.inputs import Fed, Pictures, fed, order
from unstuck.tabular.studies.cifar.network import Lane, start
from unstuck.tabular.studies.cifar.training import Tick
from unstuck.tabular.studies.cifar.variants import Protocol, Variant
from unstuck.tabular.studies.cifar.workers import Workers, alone

PROBE = 1_000
"""Number of training images on which the hidden units are observed: the first ones, the same at every step."""
COST = 3
"""Cost of an observed step in plain steps: the probe is four batches, forward only, which is half of a step."""
KEPT = (0, 1, 5)
"""Steps whose pre-activations are kept for the histograms."""
SAMPLED = 37
"""Every 37th pre-activation is kept (a prime, so that all units are covered)."""


@dataclass
class Watch:
    """One value per step, each measured before the step's update."""

    variant: Variant
    losses: list[float] = field(default_factory=list)
    gradients: list[float] = field(default_factory=list)
    """Euclidean norm of the first layer's weight gradient."""
    errors: list[float] = field(default_factory=list)
    """Mean norm of p - y, the error of an image at the logits."""
    shared: list[float] = field(default_factory=list)
    """Norm of the mean of p - y over the batch: the part that does not cancel between images."""
    means: list[float] = field(default_factory=list)
    """Mean of the pre-activations, all hidden units on the probe."""
    spreads: list[float] = field(default_factory=list)
    dead: list[float] = field(default_factory=list)
    """Share of the hidden units that are active on no image of the probe."""
    kept: dict[int, Tensor] = field(default_factory=dict)
    """A sample of the pre-activations at some steps."""

    def note(self, step: int, lane: Lane, loss: float, hidden: Tensor) -> None:
        """Record one step: gradients are computed, weights not yet updated; hidden (probe, hidden)."""
        self.losses.append(loss)
        self.gradients.append(lane.weights[0].grad.norm().item())  # type: ignore[union-attr]
        self.errors.append(lane.errors.norm(dim=1).mean().item())
        self.shared.append(lane.errors.mean(0).norm().item())
        self.means.append(hidden.mean(dtype=torch.float64).item())
        self.spreads.append(hidden.double().std().item())
        self.dead.append((hidden <= 0).all(0).double().mean().item())
        if step in KEPT:
            self.kept[step] = hidden.flatten()[::SAMPLED].clone()


def watch(
    pictures: Pictures,
    variants: Sequence[Variant],
    protocol: Protocol,
    *,
    seed: int,
    steps: int,
    tick: Tick,
    workers: Workers = alone,
) -> dict[Variant, Watch]:
    """Observe the first steps of every variant, from the weights and on the batches that `train` uses."""
    watches = {v: Watch(v) for v in variants}
    lanes = [Lane(v, start(seed, pictures.inputs, protocol, v.he)) for v in variants]
    probe = fed(pictures, pictures.train[:PROBE], variants)
    for step, rows in enumerate(islice(order(pictures, seed, protocol.batch), steps)):
        inputs, labels = fed(pictures, pictures.train[rows], variants, workers=workers), pictures.train_labels[rows]

        def looked_at(lane: Lane, step: int = step, inputs: Fed = inputs, labels: Tensor = labels) -> None:
            hidden = lane.hidden(probe[lane.variant.inputs])
            loss = lane.gradients(inputs[lane.variant.inputs], labels)
            watches[lane.variant].note(step, lane, loss, hidden)
            lane.optimizer.step()

        workers(looked_at, lanes)
        tick(COST * len(lanes), f"observing the first steps, {step + 1} of {steps}")
    return watches


def planned(variants: Sequence[Variant], steps: int) -> int:
    """The number of lane-steps of `watch`."""
    return COST * len(variants) * steps
