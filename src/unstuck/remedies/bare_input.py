"""Give the network what a name holds, and not what is made of it on the way in."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import node_at, not_by_replay
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources


class BareInput(Treatment, frozen=True):
    """The arithmetic at `site`, `x * std + mean`, gives way to the name it begins with."""

    name: ClassVar[str] = "bare-input"
    trust: ClassVar[Trust] = "advice"
    site: Site

    def summary(self) -> str:
        return f"give the network its input as it is in line {self.site.line}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "only the patched script shows what its evaluation says")

    def edit(self, sources: Sources) -> Sources:
        place = node_at(sources, self.site, ast.BinOp)
        return sources.spliced(place.instead(ast.unparse(first_of(place.node))))


def first_of(node: ast.AST) -> ast.AST:
    """What a sum or product begins with."""
    while isinstance(node, ast.BinOp):
        node = node.left
    return node
