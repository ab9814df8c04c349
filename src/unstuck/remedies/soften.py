"""Remove a large factor before a sigmoid, tanh or softmax, which it saturates."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._meaning import meant
from unstuck.remedies._moves import gathered, is_literal, literal, the_call
from unstuck.remedies._program import changed, everywhere, noted
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Program


class Soften(Treatment, frozen=True):
    """Set the factors at `site` and `others` to 1; each site is that of a product or quotient with a plain number."""

    name: ClassVar[str] = "soften"
    trust: ClassVar[Trust] = "likely"

    site: Site
    others: tuple[Site, ...] = ()

    def summary(self) -> str:
        return "remove the large factor before the activation"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step multiplies by no number there"), self.name)

    def _turned(self, program: Program) -> Program:
        for call in program.calls:
            numbers = [a for a in call.args if isinstance(a, int | float) and not isinstance(a, bool)]
            if (
                call.site in (self.site, *self.others)
                and call.name in ("mul", "rmul", "div", "truediv", "imul")
                and len(numbers) == 1
            ):
                args = tuple(1.0 if a is numbers[0] else a for a in call.args)
                program = program.replaced(
                    next(c for c in program.calls if c.outs == call.outs), changed(call, args=args)
                )
        return program

    def edit(self, sources: Sources) -> Sources:
        places = [the_call(sources, s, lambda p: isinstance(p.node, ast.BinOp)) for s in (self.site, *self.others)]
        splices = dict.fromkeys(s for place in places for s in _factors(sources, place))
        return gathered(sources, splices, f"line {self.site.line}: the factor is not a plain number")


def _factors(sources: Sources, place: Place) -> Iterator[Splice]:
    """A named constant becomes 1; a factor written in place is removed."""
    assert isinstance(place.node, ast.BinOp)
    left, right = place.of(place.node.left), place.of(place.node.right)
    for side, other in ((left, right), (right, left)):
        if any(is_literal(v.node) for v in meant(sources, side)):
            named = literal(sources, side)
            yield named.instead("1.0") if named else _without(place, side, other)


def _without(place: Place, side: Place, other: Place) -> Splice:
    inverse = isinstance(place.node, ast.BinOp) and isinstance(place.node.op, ast.Div) and side.node is place.node.left
    if inverse or not isinstance(side.node, ast.Constant):
        return side.instead("1.0")
    joined = isinstance(place.page.parents.get(place.node), ast.BinOp | ast.UnaryOp)
    return place.instead(other.operand if joined else other.code)
