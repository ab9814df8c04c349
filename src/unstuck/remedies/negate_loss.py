"""Negate what is minimised, to correct its sign."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._moves import gathered, the_call
from unstuck.remedies._program import everywhere, followed, noted
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources
from unstuck.tape.program import Program


class NegateLoss(Treatment, frozen=True):
    """`site`: the innermost site of the call that makes the minimised value, or that changes its sign."""

    name: ClassVar[str] = "negate-loss"
    trust: ClassVar[Trust] = "likely"

    site: Site

    def summary(self) -> str:
        return "negate the loss, so that minimising it is right"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step has no such loss"), self.name)

    def _turned(self, program: Program) -> Program:
        call = next((c for c in reversed(program.calls) if c.site == self.site), None)
        return followed(program, call, "torch.neg") if call is not None else program

    def edit(self, sources: Sources) -> Sources:
        place = the_call(sources, self.site, lambda p: isinstance(p.node, ast.Call | ast.BinOp))
        return gathered(sources, place.wrapped("-", ""), "the call of the loss was not found")
