"""Sort an order once more, which turns places into ranks."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay
from unstuck.remedies._names import full_name
from unstuck.remedies.decide_right import WHY
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Sources

AXES = {"dim", "axis"}


class SortTwice(Treatment, frozen=True):
    """The order that the `argsort` at `site` gives is sorted again, along the same axis."""

    name: ClassVar[str] = "sort-twice"
    trust: ClassVar[Trust] = "safe"
    site: Site

    def summary(self) -> str:
        return "apply argsort() to the order again, which gives the rank of each entry"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, WHY)

    def edit(self, sources: Sources) -> Sources:
        place = expression_at(sources, self.site)
        call = place.node
        if not isinstance(call, ast.Call):
            raise CannotEdit(f"{place.file}, line {self.site.line}: argsort() was not found")
        along = ", ".join(place.of(k).code for k in call.keywords if k.arg in AXES)
        of_module = full_name(place.page, call.func).partition(".")[0] in (
            "numpy",
            "torch",
        )  # what is sorted comes first
        along = along or ", ".join(place.of(a).code for a in call.args[of_module:][:1])
        return sources.spliced(place.instead(f"{place.operand}.argsort({along})"))
