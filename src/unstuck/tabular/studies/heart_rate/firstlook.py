"""The first layer before the first step: pre-activations, sigmoid derivatives, thresholds, gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unstuck.tabular.studies.heart_rate.courses import fed
from unstuck.tabular.studies.heart_rate.data import Rows
from unstuck.tabular.studies.heart_rate.variants import Variant
from unstuck.tabular.studies.nets import loss_of, module

SATURATED = 5.0
"""Beyond this the sigmoid's derivative is below 0.7 % (at zero it is 25 %)."""


@dataclass(frozen=True)
class FirstLook:
    """One variant at step 0, over all seeds and hidden units."""

    before: Tensor
    """Pre-activations of all seeds, rows and units, flat."""
    weights: Tensor
    """The weight of each of them in its data, flat (they sum to one)."""
    slope: float
    """The mean derivative of the hidden sigmoids."""
    swing: float
    """The standard deviation of a hidden unit over the data, averaged over units."""
    gradients: Tensor
    """|dL/db| of all first-layer biases, flat."""
    thresholds: Tensor
    """-b/w of every unit, for one input: the input at which the unit switches."""

    @property
    def size(self) -> float:
        """The mean |pre-activation|."""
        return float((self.before.abs() * self.weights).sum())

    @property
    def saturated(self) -> float:
        """The share of pre-activations beyond 5 in absolute value."""
        return float(((self.before.abs() > SATURATED) * self.weights).sum())


def look(variant: Variant, seeds: int) -> FirstLook:
    """Measure a variant at its initial weights."""
    every = [_one(variant, seed) for seed in range(seeds)]
    before, weights, slope, swing, gradients, thresholds = zip(*every, strict=True)
    return FirstLook(
        torch.cat(before),
        torch.cat(weights) / seeds,
        sum(slope) / seeds,
        sum(swing) / seeds,
        torch.cat(gradients),
        torch.cat(thresholds),
    )


def _one(variant: Variant, seed: int) -> tuple[Tensor, Tensor, float, float, Tensor, Tensor]:
    rows, model = fed(variant, seed), module(variant.net, seed)
    first = next(m for m in model if isinstance(m, nn.Linear))
    with torch.no_grad():
        before = first(rows.x)
        after, shares = before.sigmoid(), rows.shares[:, None]
        slope = float((after * (1 - after) * shares).sum() / after.shape[1])
        mean = (after * shares).sum(0)
        swing = float((((after - mean).square() * shares).sum(0)).sqrt().mean())
        thresholds = -first.bias / first.weight[:, 0]
    weights = (shares / before.shape[1]).expand_as(before)
    return before.flatten(), weights.flatten(), slope, swing, _gradient(variant, model, rows, first), thresholds


def _gradient(variant: Variant, model: nn.Sequential, rows: Rows, first: nn.Linear) -> Tensor:
    behind = model[1:] if variant.net.norm else model  # the rows are already normalised
    loss = loss_of(variant.net, rows.shares * len(rows.y))
    loss(behind(rows.x).squeeze(1), rows.y).backward()
    assert first.bias.grad is not None
    return first.bias.grad.abs()
