"""Step the scheduler per epoch or per batch, as its units require."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, node_at, not_by_replay
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources


class StepPerEpoch(Treatment, frozen=True):
    """The call at `step` moves from the batch loop at `loop` to after it; the trial keeps the first rate throughout."""

    name: ClassVar[str] = "step-per-epoch"
    trust: ClassVar[Trust] = "safe"
    step: Site
    loop: Site

    def summary(self) -> str:
        return "step the scheduler once per epoch, after the batch loop"

    def apply(self, trial: Trial) -> Trial:
        return trial.with_(steady=True)

    def edit(self, sources: Sources) -> Sources:
        step, loop = expression_at(sources, self.step), node_at(sources, self.loop, ast.For, ast.While)
        if loop.node not in loop.page.above(step.node):
            raise CannotEdit(f"{step.file}: the scheduler is stepped in another function than the batch loop")
        return sources.spliced(loop.followed(_alone(step)), step.removed())


class StepPerBatch(Treatment, frozen=True):
    """The call at `step` moves into the batch loop, after the optimizer's step at `after`."""

    name: ClassVar[str] = "step-per-batch"
    trust: ClassVar[Trust] = "safe"
    step: Site
    after: Site

    def summary(self) -> str:
        return "step the scheduler for each batch, after the optimizer"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "the rates of the corrected schedule were not recorded")

    def edit(self, sources: Sources) -> Sources:
        step, after = expression_at(sources, self.step), expression_at(sources, self.after)
        if step.file != after.file or step.page.function(step.node) is not after.page.function(after.node):
            raise CannotEdit(f"{step.file}: the optimizer is stepped in another function than the scheduler")
        return sources.spliced(after.followed(_alone(step)), step.removed())


def _alone(place: Place) -> str:
    statement = place.of(place.page.statement(place.node))
    if statement.code != place.code or "\n" in place.code:
        raise CannotEdit(f"{place.file}: {place.code.splitlines()[0]} is not a statement of its own")
    return place.code
