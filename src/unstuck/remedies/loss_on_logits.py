"""Compute the loss from logits: BCEWithLogitsLoss instead of sigmoid and BCELoss, CrossEntropyLoss instead of NLLLoss.

Both are the same function in exact arithmetic; in floating point, only the loss on logits keeps its gradient for
confident outputs.
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
    """`activation`: the innermost site of the final sigmoid, softmax or log_softmax; `function`: its name in the
    program. In the text, thresholds and rounding of the outputs get the function back."""

    name: ClassVar[str] = "loss-on-logits"
    trust: ClassVar[Trust] = "safe"

    activation: Site
    function: str = "sigmoid"

    def summary(self) -> str:
        return f"compute the loss from logits, without the {self.function}"

    def apply(self, trial: Trial) -> Trial:
        return noted(
            everywhere(trial, self._turned, f"no {self.function} is followed by a loss that has a version on logits"),
            self.name,
        )

    def _turned(self, program: Program) -> Program:
        call = activation_at(program, self.activation, self.function)
        return raw_loss(program.without(call)) if call and raw_loss(program) != program else program

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, self._splices(sources), "the call of the loss was not found")

    def _splices(self, sources: Sources) -> Iterator[Splice]:
        losses = list(on_logits(sources, *FITTING.get(self.function, tuple(ON_LOGITS))))
        if not losses:
            raise CannotEdit("the loss has no version on logits")
        yield from losses
        yield from taken_off(sources, self.activation, self.function)
