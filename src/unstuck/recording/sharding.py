"""Weights of which this process holds a part only (FSDP, tensor parallelism), or whose numbers come and go.

Reading a distributed tensor as a whole is a call that all ranks have to make, and the memory of a weight that FSDP has
given back must not be read at all. A step of such weights leaves its loss, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from unstuck.recording.tracer import Entry, tensors

LOOKS = 8
"""Stretches of the run in which such weights are looked for; they are there from the first step on, or never."""


class Sharding:
    """What is known of it: `kind` is the class of the weights' parts ("" as long as there is none)."""

    def __init__(self) -> None:
        self.kind = ""
        self._looks = 0

    def look(self, entries: Iterable[Entry]) -> bool:
        """Whether the run has such weights, after a look at these calls."""
        if not self.kind and self._looks < LOOKS:
            self._looks += 1
            self.kind = next(_kinds(entries), "")
        return bool(self.kind)

    def said(self) -> tuple[str, ...]:
        """What is to be said of it."""
        said = f"only the losses were recorded: the weights are sharded ({self.kind}), and there is no replay"
        return (said,) if self.kind else ()


def local(tensor: Tensor) -> Tensor:
    """The part of a distributed tensor that lies here; any other tensor as it is."""
    return tensor.to_local() if distributed(tensor) else tensor  # type: ignore[attr-defined]


def distributed(tensor: Tensor) -> bool:
    """Whether other processes hold the rest of it."""
    return type(tensor) not in (Tensor, torch.nn.Parameter) and hasattr(tensor, "to_local")


def gone(tensor: Tensor) -> bool:
    """Whether its memory was given back."""
    if type(tensor) not in (Tensor, torch.nn.Parameter) or tensor.layout is not torch.strided or not tensor.numel():
        return False
    try:
        return tensor.untyped_storage().nbytes() == 0
    except RuntimeError:  # a tensor without memory of its own: fake, or inside a transformation
        return False


def _kinds(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        for tensor in tensors((entry.args, entry.kwargs)):
            if distributed(tensor):
                yield type(tensor).__name__
            elif gone(tensor):
                yield "FSDP"
