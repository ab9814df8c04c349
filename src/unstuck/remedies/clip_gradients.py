"""Clip the gradient norm before each step."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Trust
from unstuck.remedies._loop import meaning, owner, steps
from unstuck.remedies._moves import argument, gathered, number
from unstuck.remedies._names import needed, spelled
from unstuck.remedies._program import noted
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Place, Sources, Splice


class ClipGradients(Treatment, frozen=True):
    """`norm`: the largest norm of all gradients together."""

    name: ClassVar[str] = "clip-gradients"
    trust: ClassVar[Trust] = "likely"

    norm: float = 1.0

    def summary(self) -> str:
        return f"clip the gradient norm to {number(self.norm)}"

    def apply(self, trial: Trial) -> Trial:
        return noted(trial.with_(clip=dict.fromkeys(range(max(1, len(trial.options))), self.norm)), self.name)

    def edit(self, sources: Sources) -> Sources:
        found = steps(sources)
        splices = (s for p in found for s in self._stepped(sources, p)) if found else self._by_hand(sources)
        return gathered(sources, splices, "neither optimizer.step() nor a weight update by hand was found")

    def _stepped(self, sources: Sources, step: Place) -> Iterator[Splice]:
        assert isinstance(step.node, ast.Call)
        scaled = "scaler" in owner(step).code.lower() and bool(step.node.args)
        optimizer = step.of(step.node.args[0]).code if scaled else owner(step).code
        lines = [f"{owner(step).code}.unscale_({optimizer})"] if scaled else []
        yield from self._clipped(step, _held(sources, step, optimizer), lines)

    def _by_hand(self, sources: Sources) -> Iterator[Splice]:
        """Before the loop `for p in params: p -= lr * p.grad`."""
        for whole in sources.pages():
            for update in whole.page.all(ast.AugAssign):
                loop = whole.page.around(update, ast.For)
                if ".grad" in whole.page.code(update.value) and loop is not None and update in loop.body:
                    yield from self._clipped(whole.of(loop), whole.page.code(loop.iter), [])

    def _clipped(self, place: Place, weights: str, lines: list[str]) -> Iterator[Splice]:
        clip = spelled(place.page, "torch.nn.utils.clip_grad_norm_")
        yield from needed(place, "torch.nn.utils.clip_grad_norm_")
        yield place.preceded(*lines, f"{clip}({weights}, {number(self.norm)})")


def _held(sources: Sources, step: Place, optimizer: str) -> str:
    """An expression for the parameters of the optimizer that is valid at its step."""
    subject = step.node.args[0] if "scaler" in owner(step).code.lower() else owner(step).node  # pyright: ignore
    made = meaning(sources, step.of(subject))
    given = argument(made, 0, "params") if isinstance(made.node, ast.Call) and made.node.args else None
    same_scope = made.page is step.page and made.page.function(made.node) is step.page.function(step.node)
    reached = same_scope or (given is not None and given.code.startswith("self.") and optimizer.startswith("self."))
    if given is not None and reached and given.code.endswith(".parameters()"):
        return given.code
    return f'[p for group in {optimizer}.param_groups for p in group["params"]]'
