"""Replace a softmax over a single output by a sigmoid."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._layers import items
from unstuck.remedies._meaning import constructed, meant
from unstuck.remedies._moves import call_to, folded, gathered, subject
from unstuck.remedies._names import full_name, needed, spelled
from unstuck.remedies._program import activation_at, changed, everywhere, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Program


class SigmoidForOne(Treatment, frozen=True):
    """`site`: the innermost site of the softmax."""

    name: ClassVar[str] = "sigmoid-for-one"
    trust: ClassVar[Trust] = "safe"

    site: Site

    def summary(self) -> str:
        return "use sigmoid for the single output, whose softmax is always 1"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step has no softmax there"), self.name)

    def _turned(self, program: Program) -> Program:
        call = activation_at(program, self.site, "softmax")
        return (
            program.replaced(call, changed(call, function="torch.sigmoid", args=call.args[:1], kwargs={}))
            if call
            else program
        )

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, self._splices(sources), "the softmax was not found")

    def _splices(self, sources: Sources) -> Iterator[Splice]:
        applies = call_to(sources, "softmax")
        for place in sources.calls(self.site):
            assert isinstance(place.node, ast.expr)
            if applies(place):
                yield from _direct(sources, place)
                return
            for model, name in (
                constructed(sources, place.of(place.node.func)) if isinstance(place.node, ast.Call) else ()
            ):
                last = items(sources, model)[-1:] if name == "torch.nn.Sequential" else []
                if last and folded(_kind(last[0])) == "softmax":
                    yield last[0].instead(f"{spelled(last[0].page, 'torch.nn.Sigmoid')}()")
                    return
        raise CannotEdit(f"{self.site.file}, line {self.site.line}: the softmax was not found")


def _direct(sources: Sources, place: Place) -> Iterator[Splice]:
    """`F.softmax(x, dim=1)` and `x.softmax(1)` are rewritten in place, a module at its construction."""
    assert isinstance(place.node, ast.Call)
    built = [v for v in meant(sources, place.of(place.node.func)) if _kind(v)]
    if not full_name(place.page, place.node.func) and built:
        yield built[0].instead(f"{spelled(built[0].page, 'torch.nn.Sigmoid')}()")
        return
    yield from needed(place, "torch.sigmoid")
    yield place.instead(f"{spelled(place.page, 'torch.sigmoid')}({subject(place).code})")


def _kind(layer: Place) -> str:
    return full_name(layer.page, layer.node.func) if isinstance(layer.node, ast.Call) else ""
