"""Clear, compute, spend: put `zero_grad()`, `backward()` and `step()` in this order."""

from __future__ import annotations

from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources


class StepAfterBackward(Treatment, frozen=True):
    """The step at `step` (or a new `optimizer.step()`) follows the call at `backward`; `clear` goes in front of it."""

    name: ClassVar[str] = "step-after-backward"
    trust: ClassVar[Trust] = "safe"
    backward: Site
    step: Site | None = None
    clear: Site | None = None
    optimizer: str = ""

    def summary(self) -> str:
        return "call zero_grad(), backward() and step() in this order" if self.step else f"call {self.optimizer}.step()"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "a replay steps after every backward as it is")

    def edit(self, sources: Sources) -> Sources:
        backward = expression_at(sources, self.backward)
        step = expression_at(sources, self.step) if self.step else None
        clear = expression_at(sources, self.clear) if self.clear else None
        said = _alone(step) if step else f"{self.optimizer}.step()"
        splices = [backward.followed(said), *([step.removed()] if step else [])]
        if clear is not None:
            splices += [backward.preceded(_alone(clear)), clear.removed()]
        return sources.spliced(*splices)


class CallIt(Treatment, frozen=True):
    """What is only named at `site` is called."""

    name: ClassVar[str] = "call-it"
    trust: ClassVar[Trust] = "safe"
    site: Site

    def summary(self) -> str:
        return f"call what line {self.site.line} only names"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "a replay steps after every backward as it is")

    def edit(self, sources: Sources) -> Sources:
        place = expression_at(sources, self.site)
        return sources.spliced(place.instead(f"{place.code}()"))


def _alone(place: Place) -> str:
    """The text of a statement that is one call."""
    statement = place.of(place.page.statement(place.node))
    if statement.code != place.code or "\n" in place.code:
        raise CannotEdit(f"{place.file}: {place.code.splitlines()[0]} is part of a longer statement")
    return place.code
