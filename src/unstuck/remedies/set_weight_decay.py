"""Change the weight decay of the optimizer."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._groups import set_in_groups
from unstuck.remedies._loop import optimizer_at, optimizers
from unstuck.remedies._moves import argument, gathered, set_argument, short
from unstuck.remedies._program import noted
from unstuck.remedies.treatment import CannotApply, CannotEdit, Treatment, Trial
from unstuck.source.text import Sources, Splice


class SetWeightDecay(Treatment, frozen=True):
    """`value` for all groups; `site`: the construction of the optimizer, to tell several apart."""

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
        return gathered(sources, [self._splice(sources)], "no optimizer was found")

    def _splice(self, sources: Sources) -> Splice:
        value = short(self.value)
        if not optimizers(sources):
            return set_in_groups(sources, weight_decay=value)
        call = optimizer_at(sources, self.site)
        if argument(call, -1, "weight_decay") is None and _in_groups(sources):
            return set_in_groups(sources, weight_decay=value)  # the decay of a group overrides that of the optimizer
        try:
            return set_argument(sources, call, -1, "weight_decay", value)
        except CannotEdit:  # the arguments come from a table
            return set_in_groups(sources, weight_decay=value)


def _in_groups(sources: Sources) -> bool:
    """Whether parameter groups in the text set a weight decay themselves."""
    keys = (k for w in sources.pages() for d in w.page.all(ast.Dict) for k in d.keys)
    return any(isinstance(k, ast.Constant) and k.value == "weight_decay" for k in keys)
