"""Layers whose statistics are taken before training, in one pass over the data, on one machine or on several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from unstuck.nn.batches import batches, rows, together
from unstuck.nn.gather import gathered
from unstuck.nn.scaling import Scaling
from unstuck.tabular.moments import Moments


class Measured(Scaling):
    """A scaling that is fitted: at once (`fit`), or batch by batch (`update` ... `freeze`).

    What was seen is kept beside the layer, not in its state: a copy that was loaded scales, but cannot be updated on.
    """

    __jit_unused_properties__ = ("columns", "moments")

    def __init__(self, shape: int | Sequence[int], dims: int | Sequence[int] | None = None, **options: Any) -> None:
        super().__init__(shape, dims, **options)
        self._start()

    def fit(self, data: Any) -> Self:
        """Measure `data` (an array, tensor, loader, Dataset or iterable of batches) from nothing, and freeze.

        Of batches that are lists or tuples the first member is taken. Raises ValueError where there is no row or a
        shape does not fit, TypeError for what is no data; the layer is then as it was.
        """
        before = self._seen, self._reduced
        self._start()
        try:
            for block in together(block for batch in batches(data) for block in self._blocks(batch)):
                self._seen = self._seen.merge(self._measure(block))
            return self.freeze()
        except BaseException:
            self._seen, self._reduced = before
            raise

    def update(self, batch: Any) -> Self:
        """Take in one batch (array or tensor); the layer scales by it after the next `freeze`."""
        if self._reduced:
            raise RuntimeError("these statistics are already those of all ranks; a further batch would not be")
        for block in self._blocks(batch):
            self._seen = self._seen.merge(self._measure(block))
        return self

    def merge(self, other: Measured | Moments) -> Self:
        """Take in what another worker has seen: a layer of the same kind and shape."""
        if isinstance(other, Moments):
            seen: Any = self._of_moments(other)
        elif type(other) is type(self) and other.sizes == self.sizes:
            seen = other._seen
        else:
            raise ValueError(f"{self!r} and {other!r} do not merge")
        self._seen = self._seen.merge(seen)
        return self

    def reduce(self, group: Any = None) -> Self:
        """Merge with all ranks of a torch.distributed group, once, in their order: all of them hold the same after."""
        if self._reduced:
            raise RuntimeError("these statistics are already those of all ranks")
        parts = [self._unpacked(part) for part in gathered(self._seen.packed(), group)]
        self._seen = parts[0]
        for part in parts[1:]:
            self._seen = self._seen.merge(part)
        self._reduced = True
        return self

    def freeze(self) -> Self:
        """Scale by what has been seen up to now. Raises ValueError where that is nothing."""
        if not self.moments.count.any():
            raise ValueError("no finite number was seen, so there is nothing to scale by")
        center, scale = self._numbers()
        self.center = self._kept(center)
        self.scale = self._kept(scale).clamp(max=torch.finfo(self.scale.dtype).max)
        self.fitted = True
        return self

    @property
    def moments(self) -> Moments:
        """Count, mean, spread and range of what has been seen, per column."""
        return self._seen

    def _blocks(self, batch: Any) -> Iterator[NDArray]:
        self.rank = len(batch.shape)
        return rows(batch, self.sizes, self.dims)

    def _kept(self, numbers: NDArray) -> torch.Tensor:
        rounded = torch.from_numpy(np.array(numbers)).reshape(self.sizes).to(self.center.dtype)
        return rounded.to(self.center.device)  # in this order: not every device knows float64

    def _start(self) -> None:
        self._seen: Any = Moments.none(self.columns)
        self._reduced = False

    def _measure(self, block: NDArray) -> Any:
        return Moments.of(block)

    def _of_moments(self, moments: Moments) -> Any:
        return moments

    def _unpacked(self, packed: NDArray) -> Any:
        return Moments.unpacked(packed)

    def _numbers(self) -> tuple[NDArray, NDArray]:
        """center and scale (columns,) from what has been seen."""
        raise NotImplementedError

    @classmethod
    def of(cls, moments: Moments, shape: int | Sequence[int] | None = None, *args: Any, **options: Any) -> Self:
        """Fitted to moments that were taken elsewhere; their columns are those of `shape` in row-major order."""
        return cls(moments.d if shape is None else shape, *args, **options).merge(moments).freeze()


class Standardize(Measured):
    """Each column to mean 0 and standard deviation 1 (of the population); a constant column to 0."""

    @property
    def mean(self) -> torch.Tensor:
        """What is subtracted; `scale` is one over the standard deviation."""
        return self.center

    __jit_unused_properties__ = ("columns", "moments", "mean")

    def _numbers(self) -> tuple[NDArray, NDArray]:
        return self.moments.mean, inverse(self.moments.spread, self.moments.constant)


class MaxAbs(Measured):
    """Each column divided by its largest absolute value: into [-1, 1], zeros stay zeros. A column of zeros stays."""

    def _numbers(self) -> tuple[NDArray, NDArray]:
        seen = self.moments
        largest = np.where(seen.count > 0, np.maximum(np.abs(seen.min), np.abs(seen.max)), 0.0)
        return np.zeros_like(largest), inverse(largest, largest == 0)


def inverse(spread: NDArray, constant: NDArray) -> NDArray:
    """1 / spread, 0 where the column is constant."""
    with np.errstate(over="ignore"):  # what is below 1e-308; `freeze` keeps it finite
        return np.where(constant, 0.0, 1 / np.where(constant, 1.0, spread))
