"""Evaluate in evaluation mode, and return to training mode afterwards."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import at_start_of, node_at, not_by_replay
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice


class EvalMode(Treatment, frozen=True):
    """`model.eval()` before the evaluation around the call at `site`, and `train()` at the start of each epoch."""

    name: ClassVar[str] = "eval-mode"
    trust: ClassVar[Trust] = "safe"
    site: Site
    model: str
    loops: tuple[Site, ...] = ()

    def summary(self) -> str:
        return f"call {self.model}.eval() before the evaluation in line {self.site.line}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "it changes the evaluation, not the training")

    def edit(self, sources: Sources) -> Sources:
        call = node_at(sources, self.site, ast.Call)
        starts = [
            at_start_of(node_at(sources, loop, ast.For, ast.While), f"{self.model}.train()") for loop in self.loops[:1]
        ]
        return sources.spliced(_in_front(call, f"{self.model}.eval()"), *starts)


def _in_front(call: Place, line: str) -> Splice:
    """Before the `with torch.no_grad()` around a call, else at the start of its function."""
    block = call.page.around(call.node, ast.With)
    function = call.page.function(call.node)
    if block is not None and (function is None or function in call.page.above(block)):
        return call.of(block).preceded(line)
    if function is None:
        raise CannotEdit(f"{call.file}: no evaluation block was found around {call.code}")
    return at_start_of(call.of(function), line)
