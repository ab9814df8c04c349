"""Keep the value of a loss without its graph."""

from __future__ import annotations

from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources


class DetachTotal(Treatment, frozen=True):
    """`.detach()` is added to the tensor at `site`, which stays a tensor."""

    name: ClassVar[str] = "detach-total"
    trust: ClassVar[Trust] = "safe"
    site: Site

    def summary(self) -> str:
        return f"detach the loss that is kept in line {self.site.line}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "it changes the memory that is used, not the training")

    def edit(self, sources: Sources) -> Sources:
        place = expression_at(sources, self.site)
        return sources.spliced(place.instead(f"{place.operand}.detach()"))
