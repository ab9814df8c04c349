"""Change the weight decay of the optimizer."""

from __future__ import annotations

import math
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._groups import set_in_groups
from unstuck.remedies._loop import optimizer_at, optimizers
from unstuck.remedies._made import handed, in_groups, is_open, is_torch, keyed, moved, recorded
from unstuck.remedies._moves import added_argument, gathered, short
from unstuck.remedies._program import noted
from unstuck.remedies.treatment import CannotApply, Treatment, Trial
from unstuck.source.origins import Origin, origins
from unstuck.source.text import Change, Place, Sources
from unstuck.tape.model import Tape


class SetWeightDecay(Treatment, frozen=True):
    """`value` for all groups; `site`: the construction of the optimizer, to tell several apart."""

    name: ClassVar[str] = "set-weight-decay"
    trust: ClassVar[Trust] = "likely"

    value: float = 0.0
    optimizer: int = 0
    site: Site | None = None
    decays: tuple[float, ...] = ()
    """What the groups were constructed with."""
    choice: int = 0
    """Which of the places that may hold it, best first."""

    def summary(self) -> str:
        return f"set the weight decay to {short(self.value)}"

    def apply(self, trial: Trial) -> Trial:
        if self.optimizer >= len(trial.options) or not any("weight_decay" in g for g in trial.options[self.optimizer]):
            raise CannotApply("the optimizer has no weight decay")
        groups = tuple({**g, "weight_decay": self.value} for g in trial.options[self.optimizer])
        options = tuple(groups if i == self.optimizer else o for i, o in enumerate(trial.options))
        return noted(trial.with_(options=options), self.name)

    def elsewhere(self) -> Treatment:
        return SetWeightDecay(self.value, self.optimizer, self.site, self.decays, self.choice + 1)

    def took(self, before: Tape, after: Tape) -> bool:
        known = self.optimizer < len(after.optimizers)
        groups = after.optimizers[self.optimizer].groups if known else ()
        return all(g.get("weight_decay") in (None, self.value) for g in groups)

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, self._changes(sources), "no optimizer was found")

    def _changes(self, sources: Sources) -> list[Change]:
        value = short(self.value)
        if self.site is None and not optimizers(sources):
            return self._of_unseen(sources)
        call = optimizer_at(sources, self.site)
        given, inside = handed(sources, call, -1, "weight_decay"), list(in_groups(call, "weight_decay"))
        if not given and not inside and keyed(sources, "weight_decay"):
            return self._of_unseen(sources)  # the decay of a group overrides that of the optimizer
        if not given and not inside:
            plain = is_torch(call) and not is_open(call)
            return [added_argument(call, f"weight_decay={value}")] if plain else self._of_unseen(sources)
        return [*moved([self._origins(sources, p) for p in (*given, *inside)], lambda _: self.value, self.choice)]

    def _of_unseen(self, sources: Sources) -> list[Change]:
        found = origins(sources, None, "weight_decay", recorded(*(d for d in self.decays if d)))
        if found or self.choice:
            return [*moved([found], lambda _: self.value, self.choice)]
        return [set_in_groups(sources, weight_decay=short(self.value))]

    def _origins(self, sources: Sources, place: Place) -> tuple[Origin, ...]:
        found = origins(sources, place, "weight_decay", recorded(*self.decays)) if self.decays else ()
        return found or origins(sources, place, "weight_decay", math.isfinite, exact=False)[:1]
