"""Give prediction and target the same shape if (N, 1) and (N,) would broadcast to (N, N)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._moves import gathered, the_call
from unstuck.remedies._program import at, changed, everywhere, made, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Program, Value


class SqueezePrediction(Treatment, frozen=True):
    """`loss`: the site of the loss call, of the subtraction in a loss by hand, or of a comparison; `side`: the operand
    with the trailing axis of length 1 (0: the first)."""

    name: ClassVar[str] = "squeeze-prediction"
    trust: ClassVar[Trust] = "safe"

    loss: Site
    side: int = 0

    def summary(self) -> str:
        return (
            f"squeeze the last axis of the {'target' if self.side else 'prediction'}, so that both have the same shape"
        )

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step has no such loss"), self.name)

    def _turned(self, program: Program) -> Program:
        loss = next((c for c in reversed(program.calls) if at(c, self.loss) and len(c.args) > 1), None)
        if loss is None:
            return program
        out = program.fresh()
        args = tuple(Value(out) if i == self.side else a for i, a in enumerate(loss.args))
        new = made("torch.squeeze", out, loss.args[self.side], -1, like=loss)
        return program.replaced(loss, new, changed(loss, args=args))

    def edit(self, sources: Sources) -> Sources:
        place = the_call(sources, self.loss, lambda p: isinstance(p.node, ast.Call | ast.BinOp | ast.Compare))
        return gathered(sources, self._splices(place), "the call of the loss was not found")

    def _splices(self, place: Place) -> Iterator[Splice]:
        node = place.node
        if isinstance(node, ast.BinOp):
            sides = [node.left, node.right]
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) == 1:
            sides = [node.func.value, node.args[0]]
        else:
            sides = node.args if isinstance(node, ast.Call) else []
        if self.side >= len(sides):
            raise CannotEdit(f"{place.file}: cannot read prediction and target from the arguments of the loss")
        yield from place.of(sides[self.side]).wrapped("", ".squeeze(-1)")
