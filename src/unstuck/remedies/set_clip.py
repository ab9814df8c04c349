"""Clip gradients to another norm, or at the right time."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at
from unstuck.remedies._loop import steps
from unstuck.remedies._made import moved, recorded
from unstuck.remedies._moves import argument, gathered, short, the_call
from unstuck.remedies._program import noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.origins import origins
from unstuck.source.text import Place, Sources


class SetClip(Treatment, frozen=True):
    """The `clip_grad_norm_` at `site` clips to `norm` in the place of `old`."""

    name: ClassVar[str] = "set-clip"
    trust: ClassVar[Trust] = "likely"
    site: Site
    old: float
    norm: float
    choice: int = 0
    """Which of the places that may hold the number, best first."""

    def summary(self) -> str:
        return f"clip the gradient norm to {short(self.norm)} instead of {short(self.old)}"

    def apply(self, trial: Trial) -> Trial:
        return noted(trial.with_(clip=dict.fromkeys(range(max(1, len(trial.options))), self.norm)), self.name)

    def elsewhere(self) -> Treatment:
        return SetClip(self.site, self.old, self.norm, self.choice + 1)

    def edit(self, sources: Sources) -> Sources:
        call = the_call(sources, self.site, _clips)
        given = argument(call, 1, "max_norm")
        if given is None:
            raise CannotEdit("the norm that gradients are clipped to was not found")
        found = origins(sources, given, "max_norm", recorded(self.old))
        return gathered(sources, moved([found], lambda _: self.norm, self.choice), "the norm is computed")


class ClipInTime(Treatment, frozen=True):
    """The clipping at `site` stands before the optimizer's step."""

    name: ClassVar[str] = "clip-in-time"
    trust: ClassVar[Trust] = "safe"
    site: Site
    norm: float

    def summary(self) -> str:
        return "clip the gradients between backward() and step()"

    def apply(self, trial: Trial) -> Trial:
        return noted(trial.with_(clip=dict.fromkeys(range(max(1, len(trial.options))), self.norm)), self.name)

    def edit(self, sources: Sources) -> Sources:
        clip, found = expression_at(sources, self.site), steps(sources)
        statement = clip.of(clip.page.statement(clip.node))
        if len(found) != 1 or statement.code != clip.code or "\n" in clip.code:
            raise CannotEdit(f"{clip.file}: the clipping is no statement of its own beside one optimizer.step()")
        return sources.spliced(found[0].preceded(clip.code), statement.removed())


class UnscaleFirst(Treatment, frozen=True):
    """The gradients are unscaled before the clipping at `site`, to the norm that is written there."""

    name: ClassVar[str] = "unscale-first"
    trust: ClassVar[Trust] = "safe"
    site: Site
    norm: float

    def summary(self) -> str:
        return "unscale the gradients before they are clipped"

    def apply(self, trial: Trial) -> Trial:
        return noted(trial.with_(clip=dict.fromkeys(range(max(1, len(trial.options))), self.norm)), self.name)

    def edit(self, sources: Sources) -> Sources:
        clip = the_call(sources, self.site, _clips)
        stepped = [call for call in clip.page.all(ast.Call) if _scaler_steps(clip, call)]
        if len(stepped) != 1:
            raise CannotEdit(f"{clip.file}: the step of one gradient scaler was not found")
        (step,) = stepped
        assert isinstance(step.func, ast.Attribute)
        scaler, optimizer = (clip.page.code(node) for node in (step.func.value, step.args[0]))
        return sources.spliced(clip.preceded(f"{scaler}.unscale_({optimizer})"))


def _scaler_steps(clip: Place, call: ast.Call) -> bool:
    """`scaler.step(optimizer)`: what steps has scaled a loss in the same file."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "step" or len(call.args) != 1:
        return False
    owner = clip.page.code(call.func.value)
    return any(clip.page.code(other.func) == f"{owner}.scale" for other in clip.page.all(ast.Call))


def _clips(place: Place) -> bool:
    return isinstance(place.node, ast.Call) and place.page.code(place.node.func).endswith("clip_grad_norm_")
