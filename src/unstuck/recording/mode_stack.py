"""Torch's stack of function modes, of which the recorder's own is one among the person's. Torch has no public way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch._C import _len_torch_function_stack
from torch.overrides import _get_current_function_mode_stack, _pop_mode, _push_mode


def place(mode: Any) -> int | None:
    """How many modes lie above one; None where it is not on the stack."""
    stack = _get_current_function_mode_stack()
    return len(stack) - 1 - stack.index(mode) if mode in stack else None


def put(mode: Any, below: int) -> None:
    """Put a mode on the stack, below so many others."""
    above = [_pop_mode() for _ in range(min(below, _len_torch_function_stack()))]
    for one in (mode, *above[::-1]):
        _push_mode(one)


def take(mode: Any) -> None:
    """Take one off the stack, from under those above it."""
    above = []
    while (top := _pop_mode()) is not mode:
        above.append(top)
    for one in above[::-1]:
        _push_mode(one)


@contextmanager
def nothing() -> Iterator[None]:
    """Without any mode."""
    modes = [_pop_mode() for _ in range(_len_torch_function_stack())]
    try:
        yield
    finally:
        for mode in modes[::-1]:
            _push_mode(mode)
