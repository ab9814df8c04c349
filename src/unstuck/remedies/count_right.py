"""Divide a sum by the number of its terms."""

from __future__ import annotations

from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources


class CountRight(Treatment, frozen=True):
    """The divisor at `site` is replaced by `divisor`."""

    name: ClassVar[str] = "count-right"
    trust: ClassVar[Trust] = "safe"
    site: Site
    divisor: str

    def summary(self) -> str:
        return f"divide by {self.divisor} in line {self.site.line}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "it changes what is reported, not the training")

    def edit(self, sources: Sources) -> Sources:
        return sources.spliced(expression_at(sources, self.site).instead(self.divisor))
