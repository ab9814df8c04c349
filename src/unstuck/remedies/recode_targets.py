"""Map targets to 0 to 1 from other codes (1 and 2, -1 and 1, 0 to 255), where they are made."""

from __future__ import annotations

from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._moves import argument, the_call
from unstuck.remedies._origin import column, given_name, origin
from unstuck.remedies._program import noted
from unstuck.remedies.relabel import _subtractable
from unstuck.remedies.treatment import CannotApply, CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Outside


class RecodeTargets(Treatment, frozen=True):
    """Targets become (target - smallest) / span; `loss`: the site of the loss call, whose second argument they are."""

    name: ClassVar[str] = "recode-targets"
    trust: ClassVar[Trust] = "likely"

    smallest: float
    span: float
    loss: Site

    def summary(self) -> str:
        return f"map the targets from {_short(self.smallest)} .. {_short(self.smallest + self.span)} to 0 .. 1"

    def apply(self, trial: Trial) -> Trial:
        # Changed at the slot, so that the outputs are scored against the recoded targets too.
        losses = (c for p in trial.programs for c in p.calls if c.site == self.loss and len(c.args) > 1)
        slots = {c.args[1].slot for c in losses if isinstance(c.args[1], Outside)}
        if len(slots) != 1:
            raise CannotApply("the targets of the loss do not come from one slot")
        slot = slots.pop()
        before = trial.outside.get(slot, lambda target: target)
        recoded = lambda target: (before(target) - self.smallest) / self.span
        return noted(trial.with_(outside={**trial.outside, slot: recoded}), self.name)

    def edit(self, sources: Sources) -> Sources:
        loss = the_call(sources, self.loss, lambda p: argument(p, 1, "target") is not None)
        target = argument(loss, 1, "target")
        first = origin(sources, target) if target is not None else loss
        if (of_table := column(sources, first)) is not None and (table := given_name(of_table[0])):
            cell = f'{table}["{of_table[1]}"]'
            return sources.spliced(of_table[0].followed(f"{cell} = {self._text(cell)}"))
        if not _subtractable(first):
            where = f"{first.file}, line {getattr(first.node, 'lineno', 0)}"
            raise CannotEdit(f"{where}: cannot tell where the targets are made")
        return sources.spliced(*self._recoded(first))

    def _recoded(self, place: Place) -> tuple[Splice, ...]:
        before, _, after = self._text("\0").partition("\0")
        return place.wrapped(before, after)

    def _text(self, targets: str) -> str:
        """The recoded targets as an expression."""
        lowered = (
            f"{targets} - {_short(self.smallest)}" if self.smallest >= 0 else f"{targets} + {_short(-self.smallest)}"
        )
        if self.span == 1:
            return lowered
        return f"{targets if self.smallest == 0 else f'({lowered})'} / {_short(self.span)}"


def _short(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.6g}"
