"""Give rare classes more weight in the loss."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

import msgspec
import torch

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._meaning import assigned, constructed
from unstuck.remedies._moves import added_argument, argument, gathered, number, rounded, the_call
from unstuck.remedies._names import full_name, needed, spelled
from unstuck.remedies._program import changed, noted
from unstuck.remedies.treatment import CannotApply, CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.ops import CLASS_WEIGHTS
from unstuck.tape.program import Constant, Program

TAKES = {loss: keyword for loss, (_, keyword) in CLASS_WEIGHTS.items()}
KEY = "class-weights"


class WeightClasses(Treatment, frozen=True):
    """`weights`: one per class, or pos_weight alone for BCEWithLogitsLoss; `loss`: the site of the loss call;
    `function`: its name in the program; `instead`: they take the place of weights that it has."""

    name: ClassVar[str] = "weight-classes"
    trust: ClassVar[Trust] = "likely"

    weights: tuple[float, ...]
    loss: Site
    function: str
    instead: bool = False

    def summary(self) -> str:
        return "give the rare classes more weight in the loss"

    def apply(self, trial: Trial) -> Trial:
        calls = [c for p in trial.programs for c in p.calls if c.name == self.function and c.site == self.loss]
        has = any(c.argument(2, TAKES.get(self.function, "")) is not None for c in calls)
        if self.function not in TAKES or not calls or has != self.instead:
            raise CannotApply("the loss takes no class weights, or already has some")
        weights = torch.tensor([rounded(w) for w in self.weights])
        turned = trial.with_(constants={**trial.constants, KEY: weights}).over_programs(self._weighted)
        return noted(turned, self.name)

    def _weighted(self, program: Program) -> Program:
        extra = {TAKES[self.function]: Constant(KEY)}
        calls = (
            changed(c, args=c.args[:2], kwargs={**c.kwargs, **extra})
            if c.name == self.function and c.site == self.loss
            else c
            for c in program.calls
        )
        return msgspec.structs.replace(program, calls=tuple(calls))

    def edit(self, sources: Sources) -> Sources:
        place = the_call(sources, self.loss, lambda p: isinstance(p.node, ast.Call))
        return gathered(sources, self._splices(sources, place), "the call of the loss was not found")

    def _splices(self, sources: Sources, place: Place) -> Iterator[Splice]:
        assert isinstance(place.node, ast.Call)
        if self.function not in TAKES:
            raise CannotEdit(f"{self.function} takes no class weights")
        made = (
            [place]
            if full_name(place.page, place.node.func)
            else [p for p, _ in constructed(sources, place.of(place.node.func))]
        )
        old = argument(made[0], -1, TAKES[self.function]) if len(made) == 1 else None
        if len(made) != 1 or (old is not None) != self.instead:
            raise CannotEdit("the construction of the loss was not found, or already has class weights")
        values = ", ".join(number(w) for w in self.weights)
        tensor = f"{spelled(made[0].page, 'torch.tensor')}([{values}]{_device(made[0])})"
        yield from needed(made[0], "torch.tensor")
        yield old.instead(tensor) if old is not None else added_argument(made[0], f"{TAKES[self.function]}={tensor}")


def _device(place: Place) -> str:
    """The weights go to the script's `device`, if it has one."""
    scope = place.page.function(place.node)
    known = [v for s in (scope, place.page.tree) if s is not None for v in assigned(place.of(s), "device")]
    return ", device=device" if known else ""
