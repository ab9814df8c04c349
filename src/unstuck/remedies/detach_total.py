"""Keep a loss's number instead of the loss and its graph."""

from __future__ import annotations

from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources


class DetachTotal(Treatment, frozen=True):
    """The tensor that is read at `site` is detached there, so that it stays a tensor wherever it goes."""

    name: ClassVar[str] = "detach-total"
    trust: ClassVar[Trust] = "safe"
    site: Site

    def summary(self) -> str:
        return f"keep the loss without its graph in line {self.site.line}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "the training is the same; only the memory it takes changes")

    def edit(self, sources: Sources) -> Sources:
        place = expression_at(sources, self.site)
        return sources.spliced(place.instead(f"{place.operand}.detach()"))
