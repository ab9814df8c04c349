"""Clear the gradients before each backward, so that a step uses those of its own batch alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._loop import backwards, owner, steps
from unstuck.remedies._moves import gathered
from unstuck.remedies._program import noted
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Place, Sources, Splice


class ClearGradients(Treatment, frozen=True):
    """`step`: a line that steps an optimizer, where the text shows of none that it does; with `alone`, the only one."""

    name: ClassVar[str] = "clear-gradients"
    trust: ClassVar[Trust] = "safe"
    step: Site | None = None
    alone: bool = False

    def summary(self) -> str:
        return "clear the gradients before each step"

    def apply(self, trial: Trial) -> Trial:
        return noted(trial.with_(clear=True), self.name)

    def edit(self, sources: Sources) -> Sources:
        seen = _stepping(sources, self.step)
        found = (self.alone and seen) or steps(sources) or seen
        splices = (_before_backward(sources, step) for step in found) if found else _by_hand(sources)
        return gathered(sources, splices, "neither optimizer.step() nor a weight update by hand was found")


def _stepping(sources: Sources, site: Site | None) -> list[Place]:
    """The call `x.step(...)` at a site."""
    found = sources.calls(site)[:1] if site is not None else []
    return [p for p in found if isinstance(p.node, ast.Call) and _is_step(p.node.func)]


def _is_step(func: ast.expr) -> bool:
    return isinstance(func, ast.Attribute) and func.attr == "step"


def _before_backward(sources: Sources, step: Place) -> Splice:
    """Before the backward of the same block; without one, after the step (several backwards per step)."""
    line = f"{_optimizer(step)}.zero_grad()"
    statement = step.page.statement(step.node)
    block = step.page.siblings(statement)
    earlier = block[: block.index(statement)]
    here = [b for b in backwards(sources) if b.page is step.page and b.page.statement(b.node) in earlier]
    return here[0].preceded(line) if here else step.followed(line)


def _optimizer(step: Place) -> str:
    """`optimizer` in `optimizer.step()` and in `scaler.step(optimizer)`."""
    assert isinstance(step.node, ast.Call)
    given = [a for a in step.node.args if isinstance(a, ast.Name | ast.Attribute)]
    scaled = bool(given) and "scaler" in owner(step).code.lower()
    return step.of(given[0]).code if scaled else owner(step).code


def _by_hand(sources: Sources) -> Iterator[Splice]:
    """After `p -= lr * p.grad` and the like."""
    for whole in sources.pages():
        for update in whole.page.all(ast.AugAssign):
            reads = [n for n in ast.walk(update.value) if isinstance(n, ast.Attribute) and n.attr == "grad"]
            if reads:
                yield whole.of(update).followed(f"{whole.of(reads[0].value).code}.grad = None")
