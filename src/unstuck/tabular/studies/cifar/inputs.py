"""The images in memory as bytes, and the float batches of the variants, computed once per batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from unstuck.tabular.studies.cifar.variants import Preparation, Variant
from unstuck.tabular.studies.cifar.workers import Workers, alone

BRIGHTEST = 255.0
"""Pixels are divided by this, as in `ToTensor`."""
Fed = dict[tuple[Preparation, float], Tensor]
"""Float batches by the preparation and scale of the variants that use them."""
ORDER = 1000
"""Added to a run's seed for the order of its batches, so that it is independent of the initial weights."""


@dataclass(frozen=True)
class Pictures:
    """Pixels as bytes (images, channels, pixels per channel) and labels (images,), for training and test."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor

    @property
    def inputs(self) -> int:
        """The number of inputs per image."""
        return self.train[0].numel()

    @cached_property
    def channels(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel over the training images, (channels, 1), for 0..1, float64."""
        shades = torch.arange(256, dtype=torch.float64) / BRIGHTEST
        counts = torch.stack([torch.bincount(c.flatten(), minlength=256) for c in self.train.transpose(0, 1)]).double()
        shares = counts / counts.sum(1, keepdim=True)
        mean = shares @ shades
        spread = (shares @ shades**2 - mean**2).clamp_min(0).sqrt()
        return mean[:, None], spread[:, None]

    def prepared(self, pixels: Tensor, preparation: Preparation, scale: float, dtype: torch.dtype) -> Tensor:
        """Bytes (n, channels, pixels) as inputs (n, channels * pixels): prepared first, multiplied by `scale` last."""
        x = pixels.to(dtype).div_(BRIGHTEST)
        if preparation != "unit":
            mean, spread = (part.to(dtype) for part in self.channels)
            x.sub_(mean)
            if preparation == "standardised":
                x.div_(spread)
        return (x if scale == 1.0 else x.mul_(scale)).flatten(1)


def fed(
    pictures: Pictures,
    pixels: Tensor,
    variants: Iterable[Variant],
    dtype: torch.dtype = torch.float32,
    workers: Workers = alone,
) -> Fed:
    """The same bytes as the inputs of all variants, keyed by their `inputs`; each computed once."""
    wanted = list(dict.fromkeys(v.inputs for v in variants))
    made = workers(lambda inputs: pictures.prepared(pixels, *inputs, dtype), wanted)
    return dict(zip(wanted, made, strict=True))


def order(pictures: Pictures, seed: int, batch: int) -> Iterator[Tensor]:
    """Endless batches of row numbers, reshuffled each epoch by an own generator; a short last one is kept."""
    generator = torch.Generator().manual_seed(ORDER + seed)
    while True:
        yield from torch.randperm(len(pictures.train), generator=generator).split(batch)


def steps_per_epoch(pictures: Pictures, batch: int) -> int:
    """The number of batches of an epoch."""
    return -(-len(pictures.train) // batch)
