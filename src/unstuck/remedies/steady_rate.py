"""Keep the learning rate: the schedule takes it away (or drives it up) long before the work is done."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis import Trust
from unstuck.remedies._loop import methods, owner
from unstuck.remedies._meaning import constructed
from unstuck.remedies._moves import gathered
from unstuck.remedies._program import noted
from unstuck.remedy import Treatment, Trial
from unstuck.source import Sources, Splice


class SteadyRate(Treatment, frozen=True):
    """Needs nothing to be known: the schedule's steps go."""

    name: ClassVar[str] = "steady-rate"
    trust: ClassVar[Trust] = "likely"

    def summary(self) -> str:
        return "keep the learning rate as it is at the start"

    def apply(self, trial: Trial) -> Trial:
        return noted(trial.with_(steady=True), self.name)

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, _schedule(sources), "no schedule was found in the text")


def _schedule(sources: Sources) -> Iterator[Splice]:
    for call in methods(sources, "step"):
        made = [name for _, name in constructed(sources, owner(call))]
        if any(".lr_scheduler." in name for name in made):
            yield call.removed()
    for whole in sources.pages():
        for update in whole.page.all(ast.AugAssign):
            target = update.target
            if (
                isinstance(target, ast.Subscript)
                and isinstance(target.slice, ast.Constant)
                and target.slice.value == "lr"
            ):
                yield whole.of(update).removed()
