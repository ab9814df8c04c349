"""Permute axes between two layers instead of reshaping."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._moves import the_call
from unstuck.remedies._program import changed, everywhere, noted
from unstuck.remedies.permute_inputs import RESHAPING
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Sources
from unstuck.tape.program import Program


class PermuteInstead(Treatment, frozen=True):
    """The reshape at `site` becomes a permutation; `order`: the old axis for each new one."""

    name: ClassVar[str] = "permute-instead"
    trust: ClassVar[Trust] = "likely"

    site: Site
    order: tuple[int, ...]

    def summary(self) -> str:
        return f"permute the axes in line {self.site.line} instead of reshaping"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step has no reshape there"), self.name)

    def _turned(self, program: Program) -> Program:
        for call in program.calls:
            if call.site == self.site and call.name in RESHAPING:
                program = program.replaced(
                    call, changed(call, function="torch.permute", args=(call.args[0], self.order))
                )
        return program

    def edit(self, sources: Sources) -> Sources:
        place = the_call(sources, self.site, lambda p: _reshapes(p.node))
        call = place.node
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            raise CannotEdit(f"{place.file}, line {self.site.line}: the reshape was not found")
        subject = place.of(call.func.value)
        return sources.spliced(place.instead(f"{subject.operand}.permute({', '.join(map(str, self.order))})"))


def _reshapes(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RESHAPING
