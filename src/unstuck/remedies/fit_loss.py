"""Use the loss for the task: binary, multi-class or regression."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._meaning import constructed
from unstuck.remedies._moves import gathered, the_call
from unstuck.remedies._names import full_name, needed, spelled
from unstuck.remedies._program import changed, everywhere, made, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape import ops
from unstuck.tape.program import Call, Program, Ref, Value


class FitLoss(Treatment, frozen=True):
    """`loss`: the site of the loss call; `new`: its replacement in torch.nn.functional; `as_float`: whether the targets
    are cast to float."""

    name: ClassVar[str] = "fit-loss"
    trust: ClassVar[Trust] = "likely"

    loss: Site
    new: str
    as_float: bool = False

    def summary(self) -> str:
        return f"use {_module(self.new) or self.new}, the loss for this task"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step has no such loss"), self.name)

    def _turned(self, program: Program) -> Program:
        loss = next((c for c in reversed(program.calls) if c.site == self.loss and len(c.refs()) > 1), None)
        return program.replaced(loss, *self._calls(program, loss)) if loss else program

    def _calls(self, program: Program, loss: Call) -> Iterator[Call]:
        prediction, target = (loss.argument(0, "input"), loss.argument(1, "target"))
        if self.as_float and isinstance(target, Ref):
            cast = made("torch.Tensor.float", program.fresh(), target, like=loss)
            yield cast
            target = Value(cast.outs[0])
        kept = {k: v for k, v in loss.kwargs.items() if k == "reduction"}
        yield changed(loss, function=f"torch.nn.functional.{self.new}", args=(prediction, target), kwargs=kept)

    def edit(self, sources: Sources) -> Sources:
        place = the_call(sources, self.loss, lambda p: isinstance(p.node, ast.Call))
        return gathered(sources, self._splices(sources, place), "the call of the loss was not found")

    def _splices(self, sources: Sources, place: Place) -> Iterator[Splice]:
        node = place.node
        assert isinstance(node, ast.Call)
        if full_name(place.page, node.func):
            full = f"torch.nn.functional.{self.new}"
            yield place.of(node.func).instead(spelled(place.page, full))
        else:
            made_by = [p for p, name in constructed(sources, place.of(node.func)) if name.startswith("torch.nn")]
            if len(made_by) != 1 or not _module(self.new):
                raise CannotEdit(f"{place.file}, line {node.lineno}: the construction of the loss was not found")
            full = f"torch.nn.{_module(self.new)}"
            yield from needed(made_by[0], full)
            yield made_by[0].instead(f"{spelled(made_by[0].page, full)}()")
        yield from needed(place, full)
        if self.as_float and len(node.args) > 1:
            yield from place.of(node.args[1]).wrapped("", ".float()")


def _module(function: str) -> str:
    """The class of torch.nn that is a loss function's module ("" if there is none)."""
    return next(iter(ops.of(function).modules), "")
