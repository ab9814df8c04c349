"""Set the momentum of batch norm to its usual value."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Trust
from unstuck.remedies._moves import argument, at_source, gathered, short
from unstuck.remedies._names import full_name
from unstuck.remedies.treatment import CannotApply, Treatment, Trial
from unstuck.source.text import Sources


class SetMomentum(Treatment, frozen=True):
    """`value`: the weight of the newest batch in the running statistics, for every batch norm that sets its
    momentum."""

    name: ClassVar[str] = "set-momentum"
    trust: ClassVar[Trust] = "likely"

    value: float = 0.1

    def summary(self) -> str:
        return f"set the momentum of batch norm to {short(self.value)}"

    def apply(self, trial: Trial) -> Trial:
        raise CannotApply("it changes the evaluation, not the training")

    def edit(self, sources: Sources) -> Sources:
        calls = (
            w.of(c) for w in sources.pages() for c in w.page.all(ast.Call) if "BatchNorm" in full_name(w.page, c.func)
        )
        given = [m for c in calls if (m := argument(c, 2, "momentum")) is not None]
        splices = (m.instead(short(self.value)) for m in at_source(sources, given))
        return gathered(sources, splices, "no batch norm with a momentum argument was found")
