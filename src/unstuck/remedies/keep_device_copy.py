"""Keep the copy that `x.to(...)` returns."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice


class KeepDeviceCopy(Treatment, frozen=True):
    """The calls at `sites`, statements of their own, are assigned to the tensors they were called on."""

    name: ClassVar[str] = "keep-device-copy"
    trust: ClassVar[Trust] = "safe"
    sites: tuple[Site, ...]

    def summary(self) -> str:
        lines = ", ".join(str(site.line) for site in self.sites)
        return f"assign the result of .to() in line {lines}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "replays run on one device")

    def edit(self, sources: Sources) -> Sources:
        return sources.spliced(*(_kept(expression_at(sources, site)) for site in self.sites))


def _kept(place: Place) -> Splice:
    call = place.node
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        raise CannotEdit(f"{place.file}: {place.code} is not a method call on a tensor")
    start = place.page.span(call)[0]
    return Splice(place.file, start, start, f"{place.of(call.func.value).code} = ")
