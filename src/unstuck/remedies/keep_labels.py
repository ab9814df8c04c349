"""Keep class ids as they are: take back the division that a cast to whole numbers then cuts off."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Sources


class KeepLabels(Treatment, frozen=True):
    """`site`: the division of the labels."""

    name: ClassVar[str] = "keep-labels"
    trust: ClassVar[Trust] = "likely"

    site: Site

    def summary(self) -> str:
        return "do not divide the class ids"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "the class ids that were cut off were not recorded")

    def edit(self, sources: Sources) -> Sources:
        place = expression_at(sources, self.site)
        if not isinstance(place.node, ast.BinOp) or not isinstance(place.node.op, ast.Div):
            raise CannotEdit(f"{self.site.file}, line {self.site.line}: {place.code} is no division")
        return sources.spliced(place.instead(place.of(place.node.left).code))
