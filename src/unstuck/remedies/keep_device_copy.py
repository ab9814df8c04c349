"""Keep the copy that `x.to(...)` makes of a tensor."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice


class KeepDeviceCopy(Treatment, frozen=True):
    """The calls at `sites`, which stand alone as statements, are assigned to what they were made on."""

    name: ClassVar[str] = "keep-device-copy"
    trust: ClassVar[Trust] = "safe"
    sites: tuple[Site, ...]

    def summary(self) -> str:
        lines = ", ".join(str(site.line) for site in self.sites)
        return f"keep the tensor that line {lines} makes"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "a replay runs on one device")

    def edit(self, sources: Sources) -> Sources:
        return sources.spliced(*(_kept(expression_at(sources, site)) for site in self.sites))


def _kept(place: Place) -> Splice:
    call = place.node
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        raise CannotEdit(f"{place.file}: {place.code} is not a call of a tensor's method")
    start = place.page.span(call)[0]
    return Splice(place.file, start, start, f"{place.of(call.func.value).code} = ")
