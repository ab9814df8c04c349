"""Remove a softmax or sigmoid from the outputs if the loss applies its own."""

from __future__ import annotations

from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._activation import taken_off
from unstuck.remedies._moves import gathered
from unstuck.remedies._program import activation_at, everywhere, noted
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources
from unstuck.tape.program import Program


class DropActivation(Treatment, frozen=True):
    """`activation`: the innermost site of its call; `function`: its name in the program (softmax, log_softmax,
    sigmoid). In the text, uses of the outputs other than the loss (thresholds, rounding) get the function back."""

    name: ClassVar[str] = "drop-activation"
    trust: ClassVar[Trust] = "safe"

    activation: Site
    function: str

    def summary(self) -> str:
        return f"remove the {self.function} before the loss, which applies its own"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._without, f"the recorded step has no {self.function} there"), self.name)

    def _without(self, program: Program) -> Program:
        call = activation_at(program, self.activation, self.function)
        return program.without(call) if call else program

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, taken_off(sources, self.activation, self.function), "the activation was not found")
