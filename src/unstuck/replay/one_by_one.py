"""The step of one lane after the other, by plain autograd: what lanes at once cannot do, or have no memory for.

Double backward, calls without a batching rule, in-place changes of views, recurrent layers in one call: whatever the
script's own autograd could do. Only one lane's activations are in memory at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from unstuck.tape import sparse
from unstuck.tape.interpreter import CannotReplay, Way, run
from unstuck.tape.program import Program

Weights = dict[str, Tensor]
Result = tuple[Weights, Tensor, Tensor]
"""Gradients by name, losses and wanted values, each with a leading lane dimension."""


class Backward(NamedTuple):
    """What one lane's backward gave."""

    gradients: Weights
    loss: Tensor
    value: Tensor


@dataclass
class OneByOne:
    """The step of a program: (stacked weights, outside) -> gradients, losses, wanted values, like that of lanes."""

    program: Program
    wanted: int | None
    fixed: Weights
    constants: Weights
    device: torch.device
    _ran: Tensor | None = field(default=None, init=False)
    """The wanted value of the last lane that went through."""

    def __call__(self, weights: Weights, outside: tuple[Tensor, ...]) -> Result:
        lanes = len(next(iter(weights.values())))
        gradients = {name: torch.empty_like(w) for name, w in weights.items() if name}
        losses, values = [], []
        for lane in range(lanes):
            loss, value = self._lane({n: w[lane] for n, w in weights.items() if n}, outside, lane, gradients)
            losses.append(loss)
            values.append(value)
        return gradients, torch.stack(losses), torch.stack(values)

    def _lane(self, mine: Weights, outside: tuple[Tensor, ...], lane: int, into: Weights) -> tuple[Tensor, Tensor]:
        try:
            made = self.backward(mine, outside)
        except RuntimeError:
            if self._ran is None:
                raise
            # The same calls went through on the same shapes: only numbers can have made them fail (a binary
            # cross-entropy raises on NaN). This lane has diverged.
            for gradient in into.values():
                gradient[lane].fill_(torch.nan)
            return self._ran.new_full((), torch.nan, dtype=torch.float32), torch.full_like(self._ran, torch.nan)
        for name, gradient in made.gradients.items():
            into[name][lane].copy_(gradient)
        self._ran = made.value
        return made.loss, made.value

    def backward(self, mine: Weights, outside: tuple[Tensor, ...]) -> Backward:
        """One lane's loss and gradients. Raises CannotReplay for a loss of several numbers."""
        leaves = {name: w.detach().requires_grad_() for name, w in mine.items()}
        kept = [n for n in (self.program.loss, self.wanted) if n is not None]
        with torch.enable_grad():
            entering = tuple(map(self._entering, sparse.entering(self.program, outside)))
            fixed = {n: self._entering(w) for n, w in self.fixed.items()} if self.program.differentiates else self.fixed
            spaces = ({**fixed, **leaves}, entering, self.constants)
            values = run(self.program, *spaces, Way(self.device, literal=True), kept)
            loss = _one_number(values[self.program.loss])
        value = (loss if self.wanted is None else values[self.wanted]).detach()
        if not (leaves and loss.requires_grad):
            return Backward({n: torch.zeros_like(w) for n, w in mine.items()}, loss.detach(), value)
        given = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        gradients = {n: torch.zeros_like(leaves[n]) if g is None else g for n, g in zip(leaves, given, strict=True)}
        return Backward(gradients, loss.detach(), value)

    def _entering(self, tensor: Tensor) -> Tensor:
        """A batch's tensor as the step gets it: its own where it may be changed, asking for a gradient where one is."""
        if self.program.differentiates and tensor.is_floating_point():
            return tensor.detach().clone().requires_grad_()
        return tensor.clone() if self._changes else tensor.detach()

    @property
    def _changes(self) -> bool:
        return any(c.function.endswith("_") or c.kwargs.get("inplace") for c in self.program.calls)


def _one_number(loss: Tensor) -> Tensor:
    if loss.numel() != 1:
        raise CannotReplay("what it differentiates is not one number")
    return loss.reshape(())
