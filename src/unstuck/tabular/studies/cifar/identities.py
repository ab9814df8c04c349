"""Train pairs of runs that are equivalent by the law, and compare them to the last bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch

from unstuck.tabular.scaling import balanced
from unstuck.tabular.studies.cifar.inputs import Pictures, fed, order
from unstuck.tabular.studies.cifar.network import Lane, start
from unstuck.tabular.studies.cifar.training import Tick
from unstuck.tabular.studies.cifar.variants import BASELINE, EXACT, POWER, Protocol, Variant, scaled
from unstuck.tabular.studies.cifar.workers import Workers, alone


@dataclass(frozen=True)
class Identity:
    """The comparison of two runs on the same batches."""

    one: Variant
    other: Variant
    dtype: torch.dtype
    steps: int
    apart: float
    """The largest difference of their losses at any step."""
    same: bool
    """Whether all losses are bit-identical, and the final weights too, up to their units."""


def pairs() -> Iterator[tuple[Variant, Variant, torch.dtype]]:
    """The pairs: the asker's runs at a power of two with their equivalents, and the fix at his factor."""
    asked = scaled(POWER)
    yield BASELINE, asked["exact"], torch.float32
    for short in ("rate", "both", "first"):
        yield amounts_to(asked[short]), asked[short], torch.float32
    yield BASELINE, EXACT, torch.float32
    yield BASELINE, EXACT, torch.float64


def amounts_to(variant: Variant) -> Variant:
    """The equivalent run on unscaled inputs, with one rate for both layers."""
    recipe = balanced(variant.on_unit_inputs)
    return replace(variant, name=f"equivalent of '{variant.name}'", recipe=recipe, scale=1.0)


def planned(steps: int) -> int:
    """The number of lane-steps of `compared`; float64 costs twice as much and gets half the steps."""
    return 2 * steps * len(list(pairs()))


def compared(
    pictures: Pictures, protocol: Protocol, *, seed: int, steps: int, tick: Tick, workers: Workers = alone
) -> list[Identity]:
    """Train every pair for `steps` batches, in float64 for half as many."""

    def one(pair: tuple[Variant, Variant, torch.dtype]) -> Identity:
        found = _compared(
            pictures, pair[:2], pair[2], seed, steps if pair[2] == torch.float32 else steps // 2, protocol
        )
        tick(2 * steps, f"checking the law: {found.other.name}")
        return found

    return workers(one, pairs())


def _compared(
    pictures: Pictures, pair: tuple[Variant, Variant], dtype: torch.dtype, seed: int, steps: int, protocol: Protocol
) -> Identity:
    begin = start(seed, pictures.inputs, protocol)
    lanes = [Lane(v, begin, dtype) for v in pair]
    apart = 0.0
    for rows in islice(order(pictures, seed, protocol.batch), steps):
        inputs, labels = fed(pictures, pictures.train[rows], pair, dtype), pictures.train_labels[rows]
        one, other = (lane.step(inputs[lane.variant.inputs], labels) for lane in lanes)
        apart = max(apart, abs(one - other))
    return Identity(*pair, dtype, steps, apart, apart == 0.0 and _same_weights(lanes))


def _same_weights(lanes: Sequence[Lane]) -> bool:
    """Whether the weights are equal after dividing each by the initial factor of its recipe."""
    units = [[layer.weight.init for layer in lane.variant.recipe.layers] for lane in lanes]
    one, other = (
        [w / unit for w, unit in zip(lane.weights, u, strict=True)] for lane, u in zip(lanes, units, strict=True)
    )
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
