"""Return to training mode at the start of each epoch."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import at_start_of, node_at, not_by_replay
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources


class TrainMode(Treatment, frozen=True):
    """`model.train()` is called at the start of the body of the loop at `loop`."""

    name: ClassVar[str] = "train-mode"
    trust: ClassVar[Trust] = "safe"
    loop: Site
    model: str

    def summary(self) -> str:
        return f"call {self.model}.train() at the start of each iteration of the loop in line {self.loop.line}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "the recorded calls were made in evaluation mode")

    def edit(self, sources: Sources) -> Sources:
        loop = node_at(sources, self.loop, ast.For, ast.While)
        return sources.spliced(at_start_of(loop, f"{self.model}.train()"))
