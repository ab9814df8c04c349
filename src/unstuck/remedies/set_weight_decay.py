"""Change the optimizer's weight decay."""

from __future__ import annotations

from typing import ClassVar

from unstuck.diagnosis import Site, Trust
from unstuck.remedies._loop import optimizer_at
from unstuck.remedies._moves import gathered, set_argument, short
from unstuck.remedies._program import noted
from unstuck.remedy import CannotApply, Treatment, Trial
from unstuck.source import Sources


class SetWeightDecay(Treatment, frozen=True):
    """`value` for all groups; `site`: where the optimizer is constructed, where that is known and there are several."""

    name: ClassVar[str] = "set-weight-decay"
    trust: ClassVar[Trust] = "likely"

    value: float = 0.0
    optimizer: int = 0
    site: Site | None = None

    def summary(self) -> str:
        return f"set the weight decay to {short(self.value)}"

    def apply(self, trial: Trial) -> Trial:
        if self.optimizer >= len(trial.options) or not any("weight_decay" in g for g in trial.options[self.optimizer]):
            raise CannotApply("the optimizer has no weight decay")
        groups = tuple({**g, "weight_decay": self.value} for g in trial.options[self.optimizer])
        options = tuple(groups if i == self.optimizer else o for i, o in enumerate(trial.options))
        return noted(trial.with_(options=options), self.name)

    def edit(self, sources: Sources) -> Sources:
        call = optimizer_at(sources, self.site)
        splice = set_argument(sources, call, -1, "weight_decay", short(self.value))
        return gathered(sources, [splice], "no optimizer was found")
