"""Standardise several inputs at once."""

from __future__ import annotations

from typing import ClassVar

from unstuck.diagnosis.model import Trust
from unstuck.remedies.standardise_inputs import StandardiseInputs
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources


class StandardiseAll(Treatment, frozen=True):
    """Each input is standardised by its own statistics, in the order of `parts`."""

    name: ClassVar[str] = "standardise-all-inputs"
    trust: ClassVar[Trust] = "likely"

    parts: tuple[StandardiseInputs, ...]

    def summary(self) -> str:
        return f"{self.parts[0].summary()}, all {len(self.parts)} of them"

    def apply(self, trial: Trial) -> Trial:
        for part in self.parts:
            trial = part.apply(trial)
        return trial

    def edit(self, sources: Sources) -> Sources:
        for part in self.parts:
            sources = part.edit(sources)
        return sources
