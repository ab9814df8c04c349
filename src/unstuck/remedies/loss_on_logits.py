"""Compute the loss from raw outputs: BCEWithLogitsLoss for sigmoid and BCELoss, CrossEntropyLoss for NLLLoss.

The two are the same function where numbers are exact; in floating point only the second has a gradient far from zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._activation import ON_LOGITS, on_logits, taken_off
from unstuck.remedies._moves import gathered
from unstuck.remedies._program import activation_at, everywhere, noted, raw_loss
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Sources, Splice
from unstuck.tape.program import Program

FITTING = {
    "sigmoid": ("torch.nn.BCELoss", "torch.nn.functional.binary_cross_entropy"),
    "log_softmax": ("torch.nn.NLLLoss", "torch.nn.functional.nll_loss"),
    "softmax": ("torch.nn.NLLLoss", "torch.nn.functional.nll_loss"),
}


class LossOnLogits(Treatment, frozen=True):
    """`activation`: the innermost site of the final sigmoid (softmax, log_softmax); `function`: its name on the
    program. Thresholds and rounding of the outputs get the function back in the text."""

    name: ClassVar[str] = "loss-on-logits"
    trust: ClassVar[Trust] = "safe"

    activation: Site
    function: str = "sigmoid"

    def summary(self) -> str:
        return f"compute the loss from the raw outputs, without the {self.function}"

    def apply(self, trial: Trial) -> Trial:
        return noted(
            everywhere(trial, self._turned, f"no {self.function} meets a loss that has a form on logits"), self.name
        )

    def _turned(self, program: Program) -> Program:
        call = activation_at(program, self.activation, self.function)
        return raw_loss(program.without(call)) if call and raw_loss(program) != program else program

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, self._splices(sources), "the loss was not found")

    def _splices(self, sources: Sources) -> Iterator[Splice]:
        losses = list(on_logits(sources, *FITTING.get(self.function, tuple(ON_LOGITS))))
        if not losses:
            raise CannotEdit("the loss is not one that has a form on logits")
        yield from losses
        yield from taken_off(sources, self.activation, self.function)
