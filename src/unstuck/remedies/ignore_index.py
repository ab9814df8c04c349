"""Exclude padded positions from a cross-entropy."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

import msgspec

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._meaning import constructed
from unstuck.remedies._moves import added_argument, argument, gathered, the_call
from unstuck.remedies._names import full_name
from unstuck.remedies._program import changed, everywhere, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Call, Program


class IgnoreIndex(Treatment, frozen=True):
    """`label`: the label of padded positions; `loss`: the site of the cross-entropy."""

    name: ClassVar[str] = "ignore-index"
    trust: ClassVar[Trust] = "likely"

    label: int
    loss: Site

    def summary(self) -> str:
        return f"exclude padded positions from the loss (ignore_index={self.label})"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step has no cross-entropy there"), self.name)

    def _turned(self, program: Program) -> Program:
        return msgspec.structs.replace(program, calls=tuple(map(self._call, program.calls)))

    def _call(self, call: Call) -> Call:
        if call.name != "cross_entropy" or call.site != self.loss:
            return call
        return changed(call, args=call.args[:3], kwargs={**call.kwargs, "ignore_index": self.label})

    def edit(self, sources: Sources) -> Sources:
        place = the_call(sources, self.loss, lambda p: isinstance(p.node, ast.Call))
        return gathered(sources, self._splices(sources, place), "the call of the loss was not found")

    def _splices(self, sources: Sources, place: Place) -> Iterator[Splice]:
        assert isinstance(place.node, ast.Call)
        direct = bool(full_name(place.page, place.node.func))
        made = [place] if direct else [p for p, _ in constructed(sources, place.of(place.node.func))]
        if len(made) != 1 or argument(made[0], -1, "ignore_index") is not None:
            raise CannotEdit("the construction of the loss was not found, or has another ignore_index")
        yield added_argument(made[0], f"ignore_index={self.label}")
