"""The base class of scaling layers: (x - center) * scale per column, with both in buffers."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

MOST = 64
"""Maximum number of axes of a tensor."""


class Scaling(nn.Module):
    """(x - center) * scale, one number of each per column; a column with scale 0 becomes 0.

    shape: number of columns, or the sizes of several axes (one column per element): 10 for rows (N, 10), 3 for images
    (N, 3, H, W) scaled per channel, (3, 32, 32) for one number per pixel, () for a single number.
    dims: the axes of the input that `shape` refers to; by default those after the first.
    fill: the output for a NaN or infinite input (0.0 is the centre); None passes it through.
    dtype: of center and scale, and the minimum precision of the arithmetic; at least float32, even in a network of
    lower precision. Floating-point inputs keep their dtype, integers become that of the network.
    """

    sizes: list[int]
    dims: list[int]
    last: list[int]
    fill: float | None
    fitted: bool
    rank: int
    center: Tensor
    scale: Tensor
    like: Tensor

    __jit_unused_properties__ = ("columns",)

    def __init__(
        self,
        shape: int | Sequence[int],
        dims: int | Sequence[int] | None = None,
        *,
        fill: float | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.sizes = _whole(shape)
        self.dims = list(range(1, 1 + len(self.sizes))) if dims is None else _whole(dims)
        _checked(self.sizes, self.dims)
        self.last = [at - len(self.dims) for at in range(len(self.dims))]
        self.rank = 0  # number of axes of the measured batches, if known
        self.fill = None if fill is None else float(fill)
        if not math.isfinite(self.fill or 0.0):
            raise ValueError(f"fill must be a finite number, not {fill}")
        kept = dtype or torch.promote_types(torch.get_default_dtype(), torch.float32)
        if not kept.is_floating_point or torch.finfo(kept).bits < 32:
            raise ValueError(f"dtype must be float32 or float64, not {kept}")
        self.fitted = False
        self.register_buffer("center", torch.full(self.sizes, math.nan, dtype=kept, device=device))
        self.register_buffer("scale", torch.full(self.sizes, math.nan, dtype=kept, device=device))
        self.register_buffer("like", torch.empty(0, device=device), persistent=False)

    @property
    def columns(self) -> int:
        """The number of elements of center and of scale."""
        return math.prod(self.sizes)

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape with these sizes at the axes; raises ValueError for others, RuntimeError if not fitted."""
        if not self.fitted:
            raise RuntimeError("this layer has no statistics: call fit, or load them")
        self._check(x)
        return self._scaled(x, self.center, self.scale)

    def _check(self, x: Tensor) -> None:
        for dim, size in zip(self.dims, self.sizes):  # noqa: B905  (TorchScript does not support strict)
            if dim >= x.dim() or dim < -x.dim() or x.shape[dim] != size:
                raise ValueError(f"expected size {size} at axis {dim} of the input, but its shape is {x.shape}")

    def _scaled(self, x: Tensor, center: Tensor, scale: Tensor) -> Tensor:
        view = [1] * x.dim()
        for dim, size in zip(self.dims, self.sizes):  # noqa: B905
            view[dim] = size
        numbers = x if x.is_floating_point() else x.to(center.dtype)
        y = (numbers - center.view(view)) * scale.view(view)
        fill = self.fill
        if fill is not None:
            y = torch.where(torch.isfinite(numbers), y, fill)
        return y.to(x.dtype if x.is_floating_point() else self.like.dtype)

    def _apply(self, fn: Any, recurse: bool = True) -> "Scaling":
        before = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, was in before.items():
            now = self._buffers[name]
            if name != "like" and was is not None and now is not None and was.is_floating_point() and _short(now):
                self._buffers[name] = was.to(now.device)
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.fitted = self.center.is_meta or not bool(self.center.isnan().any())

    def settings(self) -> dict[str, Any]:
        """The arguments that rebuild this layer, as JSON values."""
        dtype = str(self.center.dtype).removeprefix("torch.")
        return {"shape": self.sizes, "dims": self.dims, "fill": self.fill, "dtype": dtype}

    def extra_repr(self) -> str:
        fill = "" if self.fill is None else f", fill={self.fill}"
        return f"{tuple(self.sizes)}, dims={tuple(self.dims)}{fill}" + ("" if self.fitted else ", not fitted")


def _whole(axes: int | Sequence[int]) -> list[int]:
    return [int(axes)] if isinstance(axes, int) else [int(a) for a in axes]


def _checked(sizes: list[int], dims: list[int]) -> None:
    if any(size < 1 for size in sizes):
        raise ValueError(f"every axis needs at least one column, not {tuple(sizes)}")
    if len(dims) != len(sizes) or any(abs(dim) > MOST for dim in dims):
        raise ValueError(f"{len(sizes)} sizes need {len(sizes)} axes, not {tuple(dims)}")
    if dims != sorted(dims) or len(set(dims)) != len(dims) or (dims and dims[0] < 0 <= dims[-1]):
        raise ValueError(
            f"axes must increase and all be counted from the front or all from the back, not {tuple(dims)}"
        )


def _short(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.element_size() < 4
