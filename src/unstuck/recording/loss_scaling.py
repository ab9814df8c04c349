"""Losses that a gradient scaler has multiplied, so that gradients in 16 bits do not vanish.

What follows (the gradients are divided before the optimizer gets them) undoes it. On the tape neither is there.
"""

from __future__ import annotations

import weakref
from types import FrameType
from typing import Any

from torch import Tensor

PRODUCTS = ("mul", "__mul__", "__rmul__")


class LossScaling:
    """Knows the products that a scaler makes: an object that scales, unscales and steps, as torch's GradScaler."""

    def __init__(self) -> None:
        self._scaled: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        self._scaler: weakref.ref[Any] | None = None

    def clear(self) -> None:
        """A backward is over."""
        self._scaled = {}

    def look(self, func: Any, args: Any, out: Any, caller: FrameType | None) -> None:
        """A call that `caller` made."""
        if getattr(func, "__name__", "") not in PRODUCTS or len(args) != 2 or caller is None:
            return
        value, scale = args
        if not (isinstance(scale, Tensor) and scale.numel() == 1 and not scale.requires_grad):
            return
        owner = caller.f_locals.get("self")
        if all(callable(getattr(owner, name, None)) for name in ("scale", "unscale_", "step", "get_scale")):
            self._scaled[id(out)] = (out, value, scale)
            self._scaler = weakref.ref(owner)

    def undone(self, loss: Tensor) -> tuple[Tensor, float]:
        """The loss before it was scaled, and the factor; the loss itself and 1 where it was not."""
        if id(loss) not in self._scaled:
            return loss, 1.0
        _, value, scale = self._scaled[id(loss)]
        return value, float(scale)

    def factor(self) -> float:
        """The factor at this moment; 1 where nothing scales."""
        scaler = self._scaler() if self._scaler is not None else None
        return 1.0 if scaler is None else float(scaler.get_scale()) or 1.0

    def device_factor(self) -> float | Tensor:
        """The same without waiting for another device, where torch's own scaler has it there."""
        scaler = self._scaler() if self._scaler is not None else None
        held = getattr(scaler, "_scale", None)
        return held if isinstance(held, Tensor) and held.device.type != "cpu" else self.factor()
