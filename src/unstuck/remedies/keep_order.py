"""Leave the rows of a tensor in the order that they have."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Sources


class KeepOrder(Treatment, frozen=True):
    """`site`: the call that picks the rows in another order (`y[order]`, `y.index_select(0, order)`)."""

    name: ClassVar[str] = "keep-order"
    trust: ClassVar[Trust] = "safe"

    site: Site

    def summary(self) -> str:
        return f"use the targets in the order that they have (line {self.site.line})"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "the targets were recorded in their new order")

    def edit(self, sources: Sources) -> Sources:
        place = expression_at(sources, self.site)
        picked = _picked(place.node)
        if picked is None:
            raise CannotEdit(f"{self.site.file}, line {self.site.line}: {place.code} does not pick rows")
        return sources.spliced(place.instead(place.of(picked).code))


def _picked(node: ast.AST) -> ast.expr | None:
    """What the rows are picked of."""
    if isinstance(node, ast.Subscript):
        return node.value
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    return node.args[0] if len(node.args) > 2 else node.func.value
