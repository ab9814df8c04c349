"""Give the loss the prediction first and the target second."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._moves import the_call
from unstuck.remedies._program import changed, everywhere, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Sources
from unstuck.tape.program import Program


class SwapArguments(Treatment, frozen=True):
    """`loss`: the site of the loss call, whose first two arguments are swapped."""

    name: ClassVar[str] = "swap-arguments"
    trust: ClassVar[Trust] = "safe"

    loss: Site

    def summary(self) -> str:
        return "swap the arguments of the loss: prediction first, target second"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step has no such loss"), self.name)

    def _turned(self, program: Program) -> Program:
        loss = next((c for c in reversed(program.calls) if c.site == self.loss and len(c.args) > 1), None)
        if loss is None:
            return program
        return program.replaced(loss, changed(loss, args=(loss.args[1], loss.args[0], *loss.args[2:])))

    def edit(self, sources: Sources) -> Sources:
        place = the_call(sources, self.loss, lambda p: isinstance(p.node, ast.Call) and len(p.node.args) > 1)
        assert isinstance(place.node, ast.Call)
        first, second = (place.of(a) for a in place.node.args[:2])
        if isinstance(first.node, ast.Starred) or isinstance(second.node, ast.Starred):
            raise CannotEdit(f"{self.loss.file}, line {self.loss.line}: cannot read the arguments of the loss")
        return sources.spliced(first.instead(second.code), second.instead(first.code))
