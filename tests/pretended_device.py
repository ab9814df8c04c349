"""A pretended device: tensors with their data on the CPU that say they are elsewhere, and refuse to meet others.

Torch's own PrivateUse1 device, with a dummy guard so that autograd may run on it. What holds on every device is checked
on each call: tensors of one call are all here or all there, except for numbers (tensors without axes).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "privateuseone"


class There(Tensor):
    """A tensor on the pretended device."""

    held: Tensor

    @staticmethod
    def __new__(cls, real: Tensor) -> There:
        made = Tensor._make_wrapper_subclass(
            cls,
            real.size(),
            strides=real.stride(),
            storage_offset=real.storage_offset(),
            dtype=real.dtype,
            device=torch.device(NAME, 0),
        )
        made.held = real
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class Pretended(TorchDispatchMode):
    """While it is on, tensors can be sent to the device and made there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    flat = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, Tensor)]
    there = [t for t in flat if isinstance(t, There)]
    asked = kwargs.get("device")
    target = bool(there) if asked is None else torch.device(asked).type == NAME
    copies = func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
    if there and not copies and any(t.dim() for t in flat if not isinstance(t, There)):
        raise RuntimeError(f"{func}: tensors on the device meet tensors on the CPU")
    bare = lambda x: x.held if isinstance(x, There) else torch.device("cpu") if _is_there(x) else x
    out = func(*tree_map(bare, args), **tree_map(bare, kwargs))
    if not (there or target) or (asked is not None and not target):
        return out
    if func is torch.ops.aten.copy_.default:
        return args[0]
    wrapped = tree_map(lambda x: There(x) if isinstance(x, Tensor) else x, out)
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if there else wrapped


def _is_there(value: Any) -> bool:
    return isinstance(value, torch.device) and value.type == NAME


@contextmanager
def pretended() -> Iterator[str]:
    """The device's name, while it can be used."""
    if not hasattr(torch, NAME):
        _setup_privateuseone_for_python_backend(NAME)
    with Pretended():
        yield f"{NAME}:0"
