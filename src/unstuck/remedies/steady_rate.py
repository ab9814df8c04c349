"""Keep the learning rate constant if the schedule lowers (or raises) it too early."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Trust
from unstuck.remedies._loop import methods, owner
from unstuck.remedies._meaning import constructed
from unstuck.remedies._moves import gathered
from unstuck.remedies._program import noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Sources, Splice


class SteadyRate(Treatment, frozen=True):
    """Calls of `scheduler.step()` are removed. `factor`: the rate at construction over the first rate of the schedule;
    if they differ, the scheduler is removed too."""

    name: ClassVar[str] = "steady-rate"
    trust: ClassVar[Trust] = "likely"

    factor: float = 1.0

    def summary(self) -> str:
        return "keep the learning rate constant"

    def apply(self, trial: Trial) -> Trial:
        return noted(trial.with_(steady=True, rate=trial.rate * self.factor), self.name)

    def edit(self, sources: Sources) -> Sources:
        splices = _schedule(sources) if self.factor == 1.0 else [*_schedule(sources), *_built(sources)]
        return gathered(sources, splices, "no scheduler was found")


def _built(sources: Sources) -> Iterator[Splice]:
    """Constructions of schedulers whose only use is their step()."""
    for whole in sources.pages():
        for statement in whole.page.all(ast.Assign):
            target, made = statement.targets[0], constructed(sources, whole.of(statement.value))
            if any(".lr_scheduler." in name for _, name in made):
                code = whole.of(target).code
                read = [n for n in whole.page.all(type(target)) if whole.of(n).code == code and n is not target]
                if len(read) > sum(owner(call).code == code for call in methods(sources, "step")):
                    raise CannotEdit(f"{whole.file}: {code} is used for more than step()")
                yield whole.of(statement).removed()


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
