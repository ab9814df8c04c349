"""Call `zero_grad()`, `backward()` and `step()` in this order."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay
from unstuck.remedies._names import full_name
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Page, Place, Sources

CLIPPING = "torch.nn.utils.clip_grad"
"""How the names of torch's functions begin that clip gradients."""


class StepAfterBackward(Treatment, frozen=True):
    """The step at `step` (or a new `optimizer.step()`) follows the call at `backward`, and what clips behind that; the
    call at `clear` precedes it."""

    name: ClassVar[str] = "step-after-backward"
    trust: ClassVar[Trust] = "safe"
    backward: Site
    step: Site | None = None
    clear: Site | None = None
    optimizer: str = ""

    def summary(self) -> str:
        return "call zero_grad(), backward() and step() in this order" if self.step else f"call {self.optimizer}.step()"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "replays step after each backward anyway")

    def edit(self, sources: Sources) -> Sources:
        backward = expression_at(sources, self.backward)
        step = expression_at(sources, self.step) if self.step else None
        clear = expression_at(sources, self.clear) if self.clear else None
        said = _alone(step) if step else f"{self.optimizer}.step()"
        splices = [_clipped(backward).followed(said), *([step.removed()] if step else [])]
        if clear is not None:
            splices += [backward.preceded(_alone(clear)), clear.removed()]
        return sources.spliced(*splices)


class CallIt(Treatment, frozen=True):
    """The method named at `site` gets its parentheses."""

    name: ClassVar[str] = "call-it"
    trust: ClassVar[Trust] = "safe"
    site: Site

    def summary(self) -> str:
        return f"add the missing parentheses in line {self.site.line}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "replays step after each backward anyway")

    def edit(self, sources: Sources) -> Sources:
        place = expression_at(sources, self.site)
        return sources.spliced(place.instead(f"{place.code}()"))


def _clipped(backward: Place) -> Place:
    """The last statement behind a backward, in its block, that clips gradients; the backward where none does."""
    statement = backward.page.statement(backward.node)
    block = backward.page.siblings(statement)
    later = reversed(block[block.index(statement) + 1 :])
    return backward.of(next((s for s in later if _clips(backward.page, s)), statement))


def _clips(page: Page, statement: ast.stmt) -> bool:
    return any(full_name(page, call.func).startswith(CLIPPING) for call in page.all(ast.Call, statement))


def _alone(place: Place) -> str:
    """The text of a statement that is a single call."""
    statement = place.of(place.page.statement(place.node))
    if statement.code != place.code or "\n" in place.code:
        raise CannotEdit(f"{place.file}: {place.code.splitlines()[0]} is not a statement of its own")
    return place.code
