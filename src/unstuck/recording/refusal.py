"""What a function of torch had been given when it refused: read from the frames of the exception."""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import Tensor

WHERE = ("torch/nn/functional", "torch\\nn\\functional")


def refused(traceback: TracebackType | None) -> dict[str, Any]:
    """The innermost function of torch.nn.functional on the way to the exception, and the tensors in its hands ({} for
    none): name -> shape, dtype, smallest and largest number, whether all are whole."""
    for frame in reversed(list(_frames(traceback))):
        if any(part in frame.f_code.co_filename for part in WHERE):
            held = {k: _described(v) for k, v in frame.f_locals.items() if isinstance(v, Tensor)}
            return {"function": frame.f_code.co_name, "tensors": held}
    return {}


def _frames(traceback: TracebackType | None) -> Iterator[FrameType]:
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _described(tensor: Tensor) -> dict[str, Any]:
    plain = {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
    numbers = tensor.detach().double().flatten() if not tensor.is_complex() else torch.zeros(0)
    if not len(numbers) or not bool(torch.isfinite(numbers).all()):
        return plain
    whole = bool((numbers == numbers.round()).all())
    return {**plain, "smallest": float(numbers.min()), "largest": float(numbers.max()), "whole": whole}
