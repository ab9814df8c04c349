"""The exception that ended the script, as plain data: its type, its message, its lines, and what torch had been given.

Read from the exception's frames while they are alive.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import Tensor

from unstuck.recording.call_sites import CallSites

FUNCTIONAL = ("torch/nn/functional", "torch\\nn\\functional")
INSIDE = 6
"""The innermost functions whose names are kept."""


def described(error: BaseException, call_sites: CallSites) -> dict[str, Any]:
    """The exception; its `sites` are the person's frames, innermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    sites = [_site(file, f, call_sites) for f in frames if (file := call_sites.relative(f.filename)) is not None]
    try:
        given = refused(error.__traceback__)
    except Exception:  # a tensor that cannot be looked at must not cost the person the traceback
        given = {}
    return {
        "type": type(error).__name__,
        "message": str(error)[:2000],
        "line": traceback.format_exception_only(error)[-1].strip()[:400],
        "sites": sites[::-1],
        "inside": [f.name for f in frames[-INSIDE:]],
        "refused": given,
    }


def refused(trace: TracebackType | None) -> dict[str, Any]:
    """The innermost function of torch.nn.functional on the way to the exception, and its tensors ({} for none):
    name -> shape, dtype, smallest and largest number, whether all are whole."""
    for frame in reversed(list(_frames(trace))):
        if any(part in frame.f_code.co_filename for part in FUNCTIONAL):
            tensors = {k: _summary(v) for k, v in frame.f_locals.items() if isinstance(v, Tensor)}
            return {"function": frame.f_code.co_name, "tensors": tensors}
    return {}


def _site(file: str, frame: traceback.FrameSummary, call_sites: CallSites) -> dict[str, Any]:
    """A frame of a traceback, with the columns of the call that it was in."""
    first, last = (n and call_sites.line(frame.filename, n) for n in (frame.lineno, frame.end_lineno))
    place = {"line": first, "column": frame.colno, "end_line": last, "end_column": frame.end_colno}
    known = {key: value for key, value in place.items() if value is not None}
    return {"file": file, **known, "function": frame.name}


def _frames(trace: TracebackType | None) -> Iterator[FrameType]:
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _summary(tensor: Tensor) -> dict[str, Any]:
    plain = {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
    numbers = tensor.detach().double().flatten() if not tensor.is_complex() else torch.zeros(0)
    if not len(numbers) or not bool(torch.isfinite(numbers).all()):
        return plain
    whole = bool((numbers == numbers.round()).all())
    return {**plain, "smallest": float(numbers.min()), "largest": float(numbers.max()), "whole": whole}
