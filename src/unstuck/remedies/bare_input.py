"""Give the network its input without the arithmetic that is done to it on the way in."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import node_at, not_by_replay
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources


class BareInput(Treatment, frozen=True):
    """The arithmetic at `site`, such as `x * std + mean`, is replaced by its first name, `x`."""

    name: ClassVar[str] = "bare-input"
    trust: ClassVar[Trust] = "advice"
    site: Site

    def summary(self) -> str:
        return f"pass the input unchanged in line {self.site.line}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "it changes the evaluation, not the training")

    def edit(self, sources: Sources) -> Sources:
        place = node_at(sources, self.site, ast.BinOp)
        return sources.spliced(place.instead(ast.unparse(first_of(place.node))))


def first_of(node: ast.AST) -> ast.AST:
    """The leftmost operand of a sum or product."""
    while isinstance(node, ast.BinOp):
        node = node.left
    return node
