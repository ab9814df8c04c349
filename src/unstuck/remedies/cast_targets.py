"""Cast the targets to the dtype that the loss takes: long for class ids, float for all others."""

from __future__ import annotations

import ast
from typing import ClassVar, Literal

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._moves import argument, gathered, the_call
from unstuck.remedies._program import changed, everywhere, made, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Sources
from unstuck.tape.program import Program, Ref, Value


class CastTargets(Treatment, frozen=True):
    """`loss`: the site of the loss call; `dtype`: the tensor method that casts."""

    name: ClassVar[str] = "cast-targets"
    trust: ClassVar[Trust] = "safe"

    loss: Site
    dtype: Literal["long", "float"]

    def summary(self) -> str:
        return f"cast the targets to {self.dtype}"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step has no such loss"), self.name)

    def _turned(self, program: Program) -> Program:
        loss = next((c for c in reversed(program.calls) if c.site == self.loss and len(c.refs()) > 1), None)
        if loss is None or len(loss.args) < 2 or not isinstance(loss.args[1], Ref):
            return program
        new = made(f"torch.Tensor.{self.dtype}", program.fresh(), loss.args[1], like=loss)
        return program.replaced(loss, new, changed(loss, args=(loss.args[0], Value(new.outs[0]), *loss.args[2:])))

    def edit(self, sources: Sources) -> Sources:
        place = the_call(sources, self.loss, lambda p: isinstance(p.node, ast.Call))
        target = argument(place, 1, "target")
        if target is None:
            raise CannotEdit(f"{self.loss.file}, line {self.loss.line}: the target of the loss was not found")
        return gathered(sources, target.wrapped("", f".{self.dtype}()"), "the target of the loss was not found")
