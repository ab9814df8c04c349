"""Accumulate into the total that is reported."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import at_start_of, node_at, not_by_replay, statement_at
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice


class AddUpTotals(Treatment, frozen=True):
    """The statement at `site` becomes `total += value`; if `loop` is given, the total is set to 0 before it."""

    name: ClassVar[str] = "add-up-totals"
    trust: ClassVar[Trust] = "safe"
    site: Site
    total: str
    loop: Site | None = None

    def summary(self) -> str:
        return f"accumulate into {self.total} in line {self.site.line}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "it changes what is reported, not the training")

    def edit(self, sources: Sources) -> Sources:
        place = statement_at(sources, self.site)
        start = [statement_at(sources, self.loop).preceded(f"{self.total} = 0")] if self.loop else []
        return sources.spliced(_addition(place, self.total), *start)


class RestartTotals(Treatment, frozen=True):
    """The totals are reset to 0 at the start of each iteration of the loop at `loop`."""

    name: ClassVar[str] = "restart-totals"
    trust: ClassVar[Trust] = "safe"
    loop: Site
    totals: tuple[str, ...]

    def summary(self) -> str:
        return f"reset {' and '.join(self.totals)} to 0 in each iteration"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "it changes what is reported, not the training")

    def edit(self, sources: Sources) -> Sources:
        loop = node_at(sources, self.loop, ast.For, ast.While)
        return sources.spliced(at_start_of(loop, *(f"{total} = 0" for total in self.totals)))


def _addition(place: Place, total: str) -> Splice:
    node = place.node
    value = node.value if isinstance(node, ast.Assign | ast.AugAssign) else None
    if value is None:
        raise CannotEdit(f"{place.file}: {place.code} is not an assignment")
    start = place.page.span(node)[0]
    return Splice(place.file, start, place.page.span(value)[0] - _opened(place, start, value), f"{total} += ")


def _opened(place: Place, start: int, value: ast.expr) -> int:
    # Parentheses around the value are no part of its node; they stand between the `=` and it.
    lead = place.page.text[start : place.page.span(value)[0]]
    behind = lead[lead.rfind("=") + 1 :]
    return len(behind) - behind.index("(") if "(" in behind else 0
