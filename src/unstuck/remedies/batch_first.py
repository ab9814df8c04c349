"""Tell a recurrent or attention layer which axis is the batch."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import node_at, not_by_replay
from unstuck.remedies._moves import added_argument, arguments_of
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources


class BatchFirst(Treatment, frozen=True):
    """The layer built at `site` gets `batch_first=first`."""

    name: ClassVar[str] = "batch-first"
    trust: ClassVar[Trust] = "likely"
    site: Site
    first: bool = True

    def summary(self) -> str:
        return f"build the layer in line {self.site.line} with batch_first={self.first}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "the recorded initial state has the other shape")

    def edit(self, sources: Sources) -> Sources:
        call = node_at(sources, self.site, ast.Call)
        given = next((k.value for k in arguments_of(call).keywords if k.arg == "batch_first"), None)
        said = str(self.first)
        return sources.spliced(
            call.of(given).instead(said) if given is not None else added_argument(call, f"batch_first={said}")
        )
