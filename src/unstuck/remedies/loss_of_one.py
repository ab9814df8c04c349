"""Use binary cross-entropy for a single output."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._moves import argument, the_call
from unstuck.remedies._program import changed, everywhere, made, noted
from unstuck.remedies.fit_loss import FitLoss
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Call, Program, Value

NEW = "binary_cross_entropy_with_logits"


class LossOfOne(Treatment, frozen=True):
    """`loss`: the site of the cross-entropy; its outputs are (rows, 1), its targets (rows,)."""

    name: ClassVar[str] = "loss-of-one"
    trust: ClassVar[Trust] = "likely"

    loss: Site

    def summary(self) -> str:
        return "use BCEWithLogitsLoss for the single output"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step has no such loss"), self.name)

    def _turned(self, program: Program) -> Program:
        loss = next((c for c in reversed(program.calls) if c.site == self.loss and len(c.refs()) > 1), None)
        return program.replaced(loss, *_calls(program, loss)) if loss is not None else program

    def edit(self, sources: Sources) -> Sources:
        turned = FitLoss(self.loss, NEW).edit(sources)
        place = the_call(turned, self.loss, lambda p: isinstance(p.node, ast.Call))
        return turned.spliced(*_shaped(place))


def _calls(program: Program, loss: Call) -> Iterator[Call]:
    free = program.fresh()
    yield made("torch.squeeze", free, loss.argument(0, "input"), 1, like=loss)
    yield made("torch.Tensor.float", free + 1, loss.argument(1, "target"), like=loss)
    kept = {k: v for k, v in loss.kwargs.items() if k == "reduction"}
    yield changed(loss, function=f"torch.nn.functional.{NEW}", args=(Value(free), Value(free + 1)), kwargs=kept)


def _shaped(place: Place) -> tuple[Splice, ...]:
    output, target = argument(place, 0, "input"), argument(place, 1, "target")
    if output is None or target is None:
        raise CannotEdit(f"{place.file}: the arguments of the loss were not found")
    return (*output.wrapped("", ".squeeze(1)"), *target.wrapped("", ".float()"))
