"""The first steps of a run, one by one: loss, gradient, what arrives at the hidden units, how many are dead."""

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
"""Training pictures on which the hidden units are watched: the first ones, the same at every step."""
COST = 3
"""Of a watched step in plain ones: the probe is four batches, forward only, which is half of a step."""
KEPT = (0, 1, 5)
"""Steps whose pre-activations are kept, for the histograms."""
SAMPLED = 37
"""Every so manieth pre-activation is kept (a prime: it walks through all units)."""


@dataclass
class Watch:
    """One value per step, each taken before the step's update."""

    variant: Variant
    losses: list[float] = field(default_factory=list)
    gradients: list[float] = field(default_factory=list)
    """Euclidean norm of the first layer's weight gradient."""
    errors: list[float] = field(default_factory=list)
    """Mean length of p - y, a picture's error at the logits."""
    shared: list[float] = field(default_factory=list)
    """Length of the mean of p - y over the batch: what does not cancel between pictures."""
    means: list[float] = field(default_factory=list)
    """Mean of the pre-activations, all hidden units on the probe."""
    spreads: list[float] = field(default_factory=list)
    dead: list[float] = field(default_factory=list)
    """Share of the hidden units that fire on no picture of the probe."""
    kept: dict[int, Tensor] = field(default_factory=dict)
    """Pre-activations at some steps, a sample of them in one row."""

    def note(self, step: int, lane: Lane, loss: float, hidden: Tensor) -> None:
        """Take down one step: gradients are in place, weights not yet moved; hidden (probe, hidden)."""
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
    """Watch the first steps of every variant, from the weights and on the batches that `train` uses."""
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
        tick(COST * len(lanes), f"the first steps under the microscope, {step + 1} of {steps}")
    return watches


def planned(variants: Sequence[Variant], steps: int) -> int:
    """Lane-steps that `watch` ticks in all."""
    return COST * len(variants) * steps
