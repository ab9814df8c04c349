"""Statistics of one tensor, as plain data."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

LARGE = 1_000_000
"""Numbers of a tensor that are read; of a larger one every n-th."""
CATEGORIES = 12
"""Distinct values that are listed with their shares."""


def described(tensor: Tensor) -> dict[str, Any]:
    """Shape, type, and statistics over all numbers."""
    told: dict[str, Any] = {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
    flat = _numbers(tensor)
    finite = flat[torch.isfinite(flat)]
    if len(finite) < len(flat):
        told["share_nan"] = rounded(float(torch.isnan(flat).double().mean()))
        told["share_infinite"] = rounded(float(torch.isinf(flat).double().mean()))
    if not len(finite):
        return told
    told |= {"min": rounded(float(finite.min())), "max": rounded(float(finite.max()))}
    if len(finite) > 1:
        told |= {"mean": rounded(float(finite.mean())), "std": rounded(float(finite.std(correction=0)))}
    distinct = finite.unique()
    told["distinct"] = len(distinct)
    if len(finite) > 1 and len(distinct) <= CATEGORIES:
        told["values"] = {str(rounded(float(v))): rounded(float((finite == v).double().mean())) for v in distinct}
    return told


def rounded(value: float, digits: int = 4) -> float:
    """So many significant digits; NaN and infinity as they are."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else value


def _numbers(tensor: Tensor) -> Tensor:
    flat = tensor.detach().reshape(-1)
    if len(flat) > LARGE:
        flat = flat[:: len(flat) // LARGE + 1]
    return (flat.abs() if flat.is_complex() else flat).double()
