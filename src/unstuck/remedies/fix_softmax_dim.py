"""Take the softmax over the classes, not over the batch."""

from __future__ import annotations

import ast
from typing import ClassVar

import msgspec

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._layers import items
from unstuck.remedies._meaning import applied, constructed, meant
from unstuck.remedies._moves import folded, gathered, set_argument
from unstuck.remedies._names import full_name
from unstuck.remedies._program import changed, everywhere, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources
from unstuck.tape.program import Call, Program


class FixSoftmaxDim(Treatment, frozen=True):
    """`site`: the innermost site of the softmax or log_softmax; `dim`: the axis of the classes."""

    name: ClassVar[str] = "fix-softmax-dim"
    trust: ClassVar[Trust] = "safe"

    site: Site
    dim: int = 1

    def summary(self) -> str:
        return f"take the softmax over the classes (dim={self.dim})"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step has no softmax there"), self.name)

    def _turned(self, program: Program) -> Program:
        calls = (self._call(c) if "softmax" in c.name and c.site == self.site else c for c in program.calls)
        return msgspec.structs.replace(program, calls=tuple(calls))

    def _call(self, call: Call) -> Call:
        if len(call.args) > 1:
            return changed(call, args=(call.args[0], self.dim, *call.args[2:]))
        return changed(call, kwargs={**call.kwargs, "dim": self.dim})

    def edit(self, sources: Sources) -> Sources:
        for place in sources.calls(self.site):
            target = _softmax(sources, place)
            if target is not None:
                call, position = target
                splice = set_argument(sources, call, position, "dim", str(self.dim))
                return gathered(sources, [splice], "the softmax was not found")
        raise CannotEdit(f"{self.site.file}, line {self.site.line}: the softmax was not found")


def _softmax(sources: Sources, place: Place) -> tuple[Place, int] | None:
    """The call that sets `dim` (the softmax itself, or its module), and the position of the argument."""
    if not isinstance(place.node, ast.Call):
        return None
    if "softmax" in folded(applied(sources, place)):
        if full_name(place.page, place.node.func):
            return place, 1
        made = [v for v in meant(sources, place.of(place.node.func)) if isinstance(v.node, ast.Call)]
        return (made[0], 0) if made else (place, 0 if isinstance(place.node.func, ast.Attribute) else 1)
    for model, name in constructed(sources, place.of(place.node.func)):
        layers = items(sources, model) if name == "torch.nn.Sequential" else []
        for layer in layers:
            if isinstance(layer.node, ast.Call) and "softmax" in folded(full_name(layer.page, layer.node.func)):
                return layer, 0
    return None
