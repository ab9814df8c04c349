"""Give rare rows more weight in a binary cross-entropy on probabilities, which takes no class weights."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._moves import argument, gathered, number, rounded, the_call
from unstuck.remedies._names import needed, spelled
from unstuck.remedies._program import changed, everywhere, made, noted
from unstuck.remedies.treatment import CannotApply, CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Program, Value

FUNCTION = "torch.nn.functional.binary_cross_entropy"


class WeighRows(Treatment, frozen=True):
    """`weight`: of rows with target 1, relative to the others; `loss`: the site of the loss call."""

    name: ClassVar[str] = "weigh-rows"
    trust: ClassVar[Trust] = "likely"

    weight: float
    loss: Site

    def summary(self) -> str:
        return "give the rare rows more weight in the loss"

    def apply(self, trial: Trial) -> Trial:
        calls = [c for p in trial.programs for c in p.calls if c.site == self.loss]
        if any(c.argument(2, "weight") is not None for c in calls):
            raise CannotApply("the loss already has weights")
        return noted(everywhere(trial, self._weighted, "the recorded step has no such loss"), self.name)

    def _weighted(self, program: Program) -> Program:
        named = (c for c in reversed(program.calls) if c.site == self.loss and c.name == "binary_cross_entropy")
        loss = next(named, None)
        if loss is None or len(loss.args) < 2:
            return program
        free = program.fresh()
        scaled = made("torch.mul", free, loss.args[1], rounded(self.weight - 1), like=loss)
        weights = made("torch.add", free + 1, Value(free), 1.0, like=loss)
        kept = {k: v for k, v in loss.kwargs.items() if k == "reduction"}
        new = changed(loss, args=loss.args[:2], kwargs={**kept, "weight": Value(free + 1)})
        return program.replaced(loss, scaled, weights, new)

    def edit(self, sources: Sources) -> Sources:
        place = the_call(sources, self.loss, lambda p: isinstance(p.node, ast.Call))
        return gathered(sources, self._splices(place), "the call of the loss was not found")

    def _splices(self, place: Place) -> Iterator[Splice]:
        output, target = argument(place, 0, "input"), argument(place, 1, "target")
        if output is None or target is None:
            raise CannotEdit(f"{self.loss.file}, line {self.loss.line}: the arguments of the loss were not found")
        weight = f"weight=1.0 + {number(self.weight - 1)} * {target.operand}"
        yield from needed(place, FUNCTION)
        yield place.instead(f"{spelled(place.page, FUNCTION)}({output.code}, {target.code}, {weight})")
