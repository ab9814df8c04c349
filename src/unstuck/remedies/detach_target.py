"""Cut a target off from the graph."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._moves import the_call
from unstuck.remedies._program import changed, everywhere, made, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources
from unstuck.tape.program import Program, Value


class DetachTarget(Treatment, frozen=True):
    """Of the two values that the loss (or the difference) at `site` compares, number `operand` is detached."""

    name: ClassVar[str] = "detach-target"
    trust: ClassVar[Trust] = "likely"
    site: Site
    operand: int
    function: str
    """The name of the call that compares them."""

    def summary(self) -> str:
        return f"detach the target in line {self.site.line}"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._cut, "the recorded step compares no values there"), self.name)

    def _cut(self, program: Program) -> Program:
        for call in program.calls:
            if call.site != self.site or call.name != self.function or len(call.args) < 2:
                continue
            if isinstance(target := call.args[self.operand], Value):
                out = program.fresh()
                cut = made("torch.Tensor.detach", out, target, like=call)
                args = tuple(Value(out) if i == self.operand else a for i, a in enumerate(call.args))
                return program.replaced(call, cut, changed(call, args=args))
        return program

    def edit(self, sources: Sources) -> Sources:
        place = the_call(sources, self.site, lambda p: self._operand(p) is not None)
        target = self._operand(place)
        if target is None:
            raise CannotEdit(f"{self.site.file}, line {self.site.line}: the target was not found")
        return sources.spliced(target.instead(f"{target.operand}.detach()"))

    def _operand(self, place: Place) -> Place | None:
        node = place.node
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
            return place.of((node.left, node.right)[self.operand])
        if not isinstance(node, ast.Call) or len(node.args) < 2 or isinstance(node.args[0], ast.Starred):
            return None
        return place.of(node.args[self.operand])
