"""Set the momentum of batch norm to its usual value."""

from __future__ import annotations

import ast
import math
from typing import ClassVar

from unstuck.diagnosis.model import Trust
from unstuck.remedies._moves import argument, gathered, short
from unstuck.remedies._names import full_name
from unstuck.remedies.treatment import CannotApply, Treatment, Trial
from unstuck.source.origins import origins
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
        made = [origins(sources, place, "momentum", math.isfinite, exact=False)[:1] for place in given]
        changes = dict.fromkeys(o.instead(self.value) for found in made for o in found)
        return gathered(sources, changes, "no batch norm with a momentum argument was found")
