"""Copy the weights that are kept."""

from __future__ import annotations

from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay
from unstuck.remedies._names import needed, spelled
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources


class CopyState(Treatment, frozen=True):
    """The expression at `site` (a `state_dict()`, or a model) is deep-copied."""

    name: ClassVar[str] = "copy-state"
    trust: ClassVar[Trust] = "safe"
    site: Site

    def summary(self) -> str:
        return f"copy the weights that line {self.site.line} keeps"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "it changes which weights are kept, not the training")

    def edit(self, sources: Sources) -> Sources:
        place = expression_at(sources, self.site)
        copied = place.instead(f"{spelled(place.page, 'copy.deepcopy')}({place.code})")
        return sources.spliced(copied, *needed(place, "copy.deepcopy"))
