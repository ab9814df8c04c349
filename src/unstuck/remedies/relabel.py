"""Shift class labels where they are made, so that they count from zero."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._moves import gathered, the_call
from unstuck.remedies._origin import column, given_name, origin
from unstuck.remedies._program import changed, everywhere, made, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Program, Value


class Relabel(Treatment, frozen=True):
    """`smallest`: the label that becomes zero; `loss`: the site of the loss call, whose second argument the labels
    are."""

    name: ClassVar[str] = "relabel"
    trust: ClassVar[Trust] = "likely"

    smallest: int
    loss: Site

    def summary(self) -> str:
        return f"subtract {self.smallest} from the labels, so that they start at 0"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step has no such loss"), self.name)

    def _turned(self, program: Program) -> Program:
        loss = next((c for c in reversed(program.calls) if c.site == self.loss and len(c.refs()) > 1), None)
        if loss is None or len(loss.args) < 2:
            return program
        out = program.fresh()
        new = made("torch.sub", out, loss.args[1], self.smallest, like=loss)
        return program.replaced(loss, new, changed(loss, args=(loss.args[0], Value(out), *loss.args[2:])))

    def edit(self, sources: Sources) -> Sources:
        loss = the_call(sources, self.loss, lambda p: isinstance(p.node, ast.Call) and len(p.node.args) > 1)
        assert isinstance(loss.node, ast.Call)
        target = loss.of(loss.node.args[1])
        first = origin(sources, target)
        if column(sources, first) is None and not _subtractable(first):
            raise CannotEdit(
                f"{first.file}, line {getattr(first.node, 'lineno', 0)}: where the labels are made is not clear"
            )
        return gathered(sources, self._lowered(sources, first), "the labels were not found")

    def _lowered(self, sources: Sources, first: Place) -> Iterable[Splice]:
        """A column is shifted where its table is made, so that all parts of the table follow."""
        table, key = column(sources, first) or (first, "")
        if key and (name := given_name(table)):
            return (table.followed(f'{name}["{key}"] -= {self.smallest}'),)
        return first.wrapped("", f" - {self.smallest}")


def _subtractable(place: Place) -> bool:
    """Whether an array or tensor is bound to a name here, so that a number can be subtracted from all of it."""
    given = isinstance(place.page.parents.get(place.node), ast.Assign | ast.Call)
    return given and isinstance(place.node, ast.Call | ast.BinOp | ast.Name | ast.Attribute | ast.Subscript)
