"""Return to training mode at the start of each epoch."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import at_start_of, node_at
from unstuck.remedies._program import everywhere, noted
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources
from unstuck.tape.modes import in_training


class TrainMode(Treatment, frozen=True):
    """`model.train()` is called at the start of the body of the loop at `loop`."""

    name: ClassVar[str] = "train-mode"
    trust: ClassVar[Trust] = "safe"
    loop: Site
    model: str

    def summary(self) -> str:
        return f"call {self.model}.train() at the start of each iteration of the loop in line {self.loop.line}"

    def apply(self, trial: Trial) -> Trial:
        calm = "no recorded dropout or batch normalisation acts as in evaluation"
        return noted(everywhere(trial, in_training, calm), self.name)

    def edit(self, sources: Sources) -> Sources:
        loop = node_at(sources, self.loop, ast.For, ast.While)
        return sources.spliced(at_start_of(loop, f"{self.model}.train()"))
