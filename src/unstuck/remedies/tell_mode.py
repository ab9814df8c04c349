"""Pass the training mode to a dropout function."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import node_at, not_by_replay
from unstuck.remedies._moves import added_argument
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources, Splice


class TellMode(Treatment, frozen=True):
    """The calls at `sites` get `training=self.training`."""

    name: ClassVar[str] = "tell-mode"
    trust: ClassVar[Trust] = "safe"
    sites: tuple[Site, ...]

    def summary(self) -> str:
        return "pass training=self.training to the dropout function"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "it changes the evaluation, not the training")

    def edit(self, sources: Sources) -> Sources:
        return sources.spliced(*(self._told(sources, site) for site in self.sites))

    def _told(self, sources: Sources, site: Site) -> Splice:
        return added_argument(node_at(sources, site, ast.Call), "training=self.training")
