"""Let a training loop run to its end."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import node_at, not_by_replay
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Sources
from unstuck.tape.model import Tape


class TrainOn(Treatment, frozen=True):
    """The `break` or `return` at `exit` does nothing."""

    name: ClassVar[str] = "train-on"
    trust: ClassVar[Trust] = "likely"
    exit: Site

    def summary(self) -> str:
        return f"train to the end of the loop: line {self.exit.line} leaves it early"

    def took(self, before: Tape, after: Tape) -> bool:
        return after.steps > before.steps

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "the steps that the script left out were never recorded")

    def edit(self, sources: Sources) -> Sources:
        place = node_at(sources, self.exit, ast.Break, ast.Return)
        return sources.spliced(place.instead("pass"))
