"""Scaling layers measured before training, in one pass over the data, on one or several machines."""

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
    """A scaling layer that is fitted at once (`fit`) or batch by batch (`update` ... `freeze`).

    The statistics are not part of the state dict: a loaded copy scales, but cannot be updated further.
    """

    __jit_unused_properties__ = ("columns", "moments")

    def __init__(self, shape: int | Sequence[int], dims: int | Sequence[int] | None = None, **options: Any) -> None:
        super().__init__(shape, dims, **options)
        self._start()

    def fit(self, data: Any) -> Self:
        """Measure `data` (an array, tensor, loader, Dataset or iterable of batches) from scratch, and freeze.

        The first element is taken of batches that are lists or tuples. Raises ValueError if there are no rows or a
        shape does not fit, TypeError for unsupported data; the layer is then unchanged.
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
        """Add one batch (array or tensor); takes effect at the next `freeze`."""
        if self._reduced:
            raise RuntimeError("the statistics are already merged over all ranks; no further batch can be added")
        for block in self._blocks(batch):
            self._seen = self._seen.merge(self._measure(block))
        return self

    def merge(self, other: Measured | Moments) -> Self:
        """Add the statistics of another worker: a layer of the same kind and shape."""
        if isinstance(other, Moments):
            seen: Any = self._of_moments(other)
        elif type(other) is type(self) and other.sizes == self.sizes:
            seen = other._seen
        else:
            raise ValueError(f"{self!r} and {other!r} cannot be merged")
        self._seen = self._seen.merge(seen)
        return self

    def reduce(self, group: Any = None) -> Self:
        """Merge with all ranks of a torch.distributed group, once, in rank order, so that all have the same result."""
        if self._reduced:
            raise RuntimeError("the statistics are already merged over all ranks")
        parts = [self._unpacked(part) for part in gathered(self._seen.packed(), group)]
        self._seen = parts[0]
        for part in parts[1:]:
            self._seen = self._seen.merge(part)
        self._reduced = True
        return self

    def freeze(self) -> Self:
        """Use the statistics collected so far. Raises ValueError if there are none."""
        if not self.moments.count.any():
            raise ValueError("no finite number was seen, so there is nothing to scale by")
        center, scale = self._numbers()
        self.center = self._kept(center)
        self.scale = self._kept(scale).clamp(max=torch.finfo(self.scale.dtype).max)
        self.fitted = True
        return self

    @property
    def moments(self) -> Moments:
        """Count, mean, spread and range of the data so far, per column."""
        return self._seen

    def _blocks(self, batch: Any) -> Iterator[NDArray]:
        self.rank = len(batch.shape)
        return rows(batch, self.sizes, self.dims)

    def _kept(self, numbers: NDArray) -> torch.Tensor:
        rounded = torch.from_numpy(np.array(numbers)).reshape(self.sizes).to(self.center.dtype)
        return rounded.to(self.center.device)  # cast before moving: not every device supports float64

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
        """center and scale (columns,) from the statistics."""
        raise NotImplementedError

    @classmethod
    def of(cls, moments: Moments, shape: int | Sequence[int] | None = None, *args: Any, **options: Any) -> Self:
        """Fitted to existing moments; their columns are those of `shape` in row-major order."""
        return cls(moments.d if shape is None else shape, *args, **options).merge(moments).freeze()


class Standardize(Measured):
    """Each column to mean 0 and population standard deviation 1; a constant column to 0."""

    @property
    def mean(self) -> torch.Tensor:
        """The subtracted mean; `scale` is one over the standard deviation."""
        return self.center

    __jit_unused_properties__ = ("columns", "moments", "mean")

    def _numbers(self) -> tuple[NDArray, NDArray]:
        return self.moments.mean, inverse(self.moments.spread, self.moments.constant)


class MaxAbs(Measured):
    """Each column divided by its largest absolute value: into [-1, 1]. Zeros and columns of zeros stay zero."""

    def _numbers(self) -> tuple[NDArray, NDArray]:
        seen = self.moments
        largest = np.where(seen.count > 0, np.maximum(np.abs(seen.min), np.abs(seen.max)), 0.0)
        return np.zeros_like(largest), inverse(largest, largest == 0)


def inverse(spread: NDArray, constant: NDArray) -> NDArray:
    """1 / spread, 0 for constant columns."""
    with np.errstate(over="ignore"):  # a spread below 1e-308; `freeze` clamps the result
        return np.where(constant, 0.0, 1 / np.where(constant, 1.0, spread))
