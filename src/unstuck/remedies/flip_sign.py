"""Minimise the loss: it is maximised by a sign."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis import Site, Trust
from unstuck.program import Program
from unstuck.remedies._loop import optimizers
from unstuck.remedies._moves import argument, gathered
from unstuck.remedies._program import everywhere, noted
from unstuck.remedy import Treatment, Trial
from unstuck.source import Sources, Splice


class FlipSign(Treatment, frozen=True):
    """`site`: the innermost site of the negation; None where the optimizer maximises (`maximize=True`)."""

    name: ClassVar[str] = "flip-sign"
    trust: ClassVar[Trust] = "likely"

    site: Site | None = None

    def summary(self) -> str:
        return "minimise the loss"

    def apply(self, trial: Trial) -> Trial:
        if self.site is None:
            options = tuple(tuple({**g, "maximize": False} for g in groups) for groups in trial.options)
            return noted(trial.with_(options=options), self.name)
        return noted(everywhere(trial, self._turned, "nothing is negated there"), self.name)

    def _turned(self, program: Program) -> Program:
        negated = [c for c in program.calls if c.name in ("neg", "negative") and c.site == self.site]
        return program.without(negated[-1]) if negated else program

    def edit(self, sources: Sources) -> Sources:
        splices = self._negation(sources, self.site) if self.site else _maximising(sources)
        return gathered(sources, splices, "the negation was not found in the text")

    def _negation(self, sources: Sources, site: Site) -> Iterator[Splice]:
        for place in sources.calls(site):
            if isinstance(place.node, ast.UnaryOp) and isinstance(place.node.op, ast.USub):
                yield place.instead(place.of(place.node.operand).code)
                return


def _maximising(sources: Sources) -> Iterator[Splice]:
    for call in optimizers(sources):
        given = argument(call, -1, "maximize")
        if given is not None:
            yield given.instead("False")
