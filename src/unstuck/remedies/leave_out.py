"""Leave out a calculation that destroys what it is given."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources


class LeaveOut(Treatment, frozen=True):
    """In the place of the arithmetic at `site` stands the tensor that it is given."""

    name: ClassVar[str] = "leave-out"
    trust: ClassVar[Trust] = "advice"

    site: Site

    def summary(self) -> str:
        return f"leave out the calculation in line {self.site.line}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "the numbers before the calculation were not recorded")

    def edit(self, sources: Sources) -> Sources:
        place = expression_at(sources, self.site)
        return sources.spliced(place.instead(_given(place).code))


def _given(place: Place) -> Place:
    """The operand that is no number; CannotEdit where there is none, or are several."""
    node = place.node
    if isinstance(node, ast.BinOp):
        tensors = [side for side in (node.left, node.right) if not _number(side)]
        if len(tensors) == 1:
            return place.of(tensors[0])
    raise CannotEdit(f"{place.file}, line {getattr(node, 'lineno', 0)}: {place.code} is no tensor and a number")


def _number(node: ast.expr) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(inner, ast.Constant) and isinstance(inner.value, int | float)
