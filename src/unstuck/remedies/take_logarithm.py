"""Let a softmax give the logarithms of its probabilities, which the loss expects."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

import msgspec

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._activation import made_by
from unstuck.remedies._moves import gathered
from unstuck.remedies._outputs import restored
from unstuck.remedies._program import activation_at, changed, everywhere, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Program

LOGARITHMIC = {"softmax": "log_softmax", "Softmax": "LogSoftmax"}
"""Functions and modules that give probabilities, and those that give their logarithms without rounding small ones to
zero."""


class TakeLogarithm(Treatment, frozen=True):
    """`activation`: the innermost site of the softmax; `function`: its name in the program."""

    name: ClassVar[str] = "take-logarithm"
    trust: ClassVar[Trust] = "safe"

    activation: Site
    function: str = "softmax"

    def summary(self) -> str:
        return f"give the loss the logarithm of the {self.function}"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, f"the recorded step has no {self.function} there"), self.name)

    def _turned(self, program: Program) -> Program:
        call = activation_at(program, self.activation, self.function)
        if call is None or self.function not in LOGARITHMIC:
            return program
        module, _, name = call.function.rpartition(".")
        new = changed(call, function=f"{module}.{LOGARITHMIC[name]}")
        return msgspec.structs.replace(program, calls=tuple(new if c is call else c for c in program.calls))

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, self._splices(sources), "the activation was not found")

    def _splices(self, sources: Sources) -> Iterator[Splice]:
        call, outputs = made_by(sources, self.activation, self.function)
        yield _renamed(call)
        yield from restored(sources, outputs, lambda _: ("(", ").exp()"))


def _renamed(call: Place) -> Splice:
    """Another name for the function, in whatever way it is reached."""
    node = call.node.func if isinstance(call.node, ast.Call) else call.node
    old = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    if old not in LOGARITHMIC or isinstance(node, ast.Name):  # a bare name was imported, and the other one was not
        raise CannotEdit(f"{call.code}: the name of the function was not found")
    end = call.page.span(node)[1]
    return Splice(call.file, end - len(old), end, LOGARITHMIC[old])
