"""Give one term of a summed loss another weight."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._moves import number, rounded, the_call
from unstuck.remedies._program import changed, everywhere, made, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Sources
from unstuck.tape.program import Program, Ref, Value

ADDING = {"add", "radd", "sub", "rsub"}
TURNED = {"radd", "rsub"}
"""Calls whose first argument is the right operand."""


class WeighTerm(Treatment, frozen=True):
    """The operand (0 or 1) of the addition at `site` is multiplied by `factor`."""

    name: ClassVar[str] = "weigh-term"
    trust: ClassVar[Trust] = "likely"

    site: Site
    operand: int
    factor: float

    def summary(self) -> str:
        return f"multiply a term of the loss in line {self.site.line} by {self.factor:.3g}"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step adds no terms there"), self.name)

    def _turned(self, program: Program) -> Program:
        for call in program.calls:
            if call.site != self.site or call.name not in ADDING or len(call.args) < 2:
                continue
            term = call.args[self.operand]
            if not isinstance(term, Ref):
                continue
            out = program.fresh()
            scaled = made("torch.mul", out, term, rounded(self.factor), like=call)
            args = tuple(Value(out) if i == self.operand else a for i, a in enumerate(call.args))
            return program.replaced(call, scaled, changed(call, args=args))
        return program

    def edit(self, sources: Sources) -> Sources:
        place = the_call(sources, self.site, lambda p: isinstance(p.node, ast.BinOp))
        node = place.node
        if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Add | ast.Sub):
            raise CannotEdit(f"{self.site.file}, line {self.site.line}: the sum was not found")
        term = place.of(node.left if self.operand == 0 else node.right)
        return sources.spliced(term.instead(f"{number(self.factor)} * {term.operand}"))
