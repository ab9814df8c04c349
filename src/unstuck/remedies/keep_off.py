"""Keep an input away from where a function has no finite value or slope."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._moves import the_call
from unstuck.remedies._program import changed, everywhere, made, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.edits import folded, subject
from unstuck.source.scopes import scopes
from unstuck.source.text import Place, Sources
from unstuck.tape.program import Program, Ref, Value, leaves, mapped

OPERATORS = {
    "truediv": ast.Div, "itruediv": ast.Div, "rtruediv": ast.Div, "div": ast.Div,
    "pow": ast.Pow, "rpow": ast.Pow,
}  # fmt: skip
"""Calls that an operator of Python makes too."""


class KeepOff(Treatment, frozen=True):
    """The tensor that `function` is given at `site` is clamped between `low` and `high`.

    `argument` is its place among the tensors that the call is given; `second` says that it is the right operand.
    """

    name: ClassVar[str] = "keep-off"
    trust: ClassVar[Trust] = "likely"

    site: Site
    function: str
    argument: int
    low: float
    high: float | None = None
    second: bool = False

    def summary(self) -> str:
        return f"clamp what {self.function}() is given in line {self.site.line} to {self._bounds()}"

    def _bounds(self) -> str:
        return f"at least {self.low:g}" if self.high is None else f"{self.low:g} to {self.high:g}"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step has no such call there"), self.name)

    def _turned(self, program: Program) -> Program:
        for call in program.calls:
            refs = list(dict.fromkeys(call.refs()))
            if call.name != self.function or call.site != self.site or self.argument >= len(refs):
                continue
            out, ref = program.fresh(), refs[self.argument]
            kept = made("torch.clamp", out, ref, self.low, self.high, like=call)
            program = program.replaced(call, kept, changed(call, args=_instead(call.args, ref, Value(out))))
        return program

    def edit(self, sources: Sources) -> Sources:
        place = the_call(sources, self.site, self._is)
        given = self._given(place)
        bounds = f"min={self.low:g}" if self.high is None else f"{self.low:g}, {self.high:g}"
        return sources.spliced(given.instead(f"{given.operand}.clamp({bounds})"))

    def _is(self, place: Place) -> bool:
        node = place.node
        if isinstance(node, ast.BinOp):
            return self.function in OPERATORS and isinstance(node.op, OPERATORS[self.function])
        return isinstance(node, ast.Call) and _called(place) == folded(self.function)

    def _given(self, place: Place) -> Place:
        node = place.node
        if isinstance(node, ast.BinOp):
            return place.of(node.right if self.second else node.left)
        if not self.second:
            return subject(place)
        args = node.args if isinstance(node, ast.Call) else []
        func = node.func if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
        at = 0 if func is not None and not scopes(place.page).full_name(func).startswith("torch") else 1
        if at >= len(args):
            raise CannotEdit(f"{self.site.file}, line {self.site.line}: the divisor was not found")
        return place.of(args[at])


def _called(place: Place) -> str:
    func = place.node.func if isinstance(place.node, ast.Call) else None
    name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    return folded(name.strip("_"))


def _instead(args: tuple, old: Ref, new: Ref) -> tuple:
    assert old in list(leaves(args))
    return mapped(args, lambda leaf: new if leaf == old else leaf)
