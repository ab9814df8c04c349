"""Minimise a loss that is maximised by a sign."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._loop import optimizers
from unstuck.remedies._moves import argument, gathered
from unstuck.remedies._program import everywhere, noted
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources, Splice
from unstuck.tape.program import Call, Program


class FlipSign(Treatment, frozen=True):
    """`site`: the innermost site of the negation; None if the optimizer has `maximize=True`."""

    name: ClassVar[str] = "flip-sign"
    trust: ClassVar[Trust] = "likely"

    site: Site | None = None

    def summary(self) -> str:
        return "minimise the loss instead of maximising it"

    def apply(self, trial: Trial) -> Trial:
        if self.site is None:
            options = tuple(tuple({**g, "maximize": False} for g in groups) for groups in trial.options)
            return noted(trial.with_(options=options), self.name)
        return noted(everywhere(trial, self._turned, "the recorded step negates nothing there"), self.name)

    def _turned(self, program: Program) -> Program:
        negated = [c for c in program.calls if c.site == self.site and _negates(c)]
        return program.without(negated[-1]) if negated else program

    def edit(self, sources: Sources) -> Sources:
        splices = self._negation(sources, self.site) if self.site else _maximising(sources)
        return gathered(sources, splices, "the negation was not found")

    def _negation(self, sources: Sources, site: Site) -> Iterator[Splice]:
        for place in sources.calls(site):
            if (inner := _negated(place.node)) is not None:
                yield place.instead(place.of(inner).code)
                return


def _negates(call: Call) -> bool:
    return call.name in ("neg", "negative") or (
        call.name in ("mul", "rmul") and any(a in (-1, -1.0) for a in call.args)
    )


def _negated(node: ast.AST) -> ast.expr | None:
    """`loss` in `-loss`, `-1 * loss` and `loss * -1.0`."""
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return inner
        case ast.BinOp(op=ast.Mult(), left=sign, right=inner) | ast.BinOp(op=ast.Mult(), left=inner, right=sign):
            sides = ((sign, inner), (inner, sign))
            return next((other for one, other in sides if ast.unparse(one) in ("-1", "-1.0")), None)
    return None


def _maximising(sources: Sources) -> Iterator[Splice]:
    for call in optimizers(sources):
        given = argument(call, -1, "maximize")
        if given is not None:
            yield given.instead("False")
