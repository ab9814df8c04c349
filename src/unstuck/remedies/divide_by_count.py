"""Divide a sum over neighbours by their number."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._moves import the_call
from unstuck.remedies._program import changed, everywhere, made, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Sources
from unstuck.tape.program import Outside, Program, Value

LEAST = 1.0
"""A row without members stays 0."""


class DivideByCount(Treatment, frozen=True):
    """The matrix in `slot`, first factor of the product at `site`, is divided by the sums of its rows."""

    name: ClassVar[str] = "divide-by-count"
    trust: ClassVar[Trust] = "likely"

    site: Site
    slot: int

    def summary(self) -> str:
        return f"divide the sum over neighbours in line {self.site.line} by their number"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step has no such product there"), self.name)

    def _turned(self, program: Program) -> Program:
        for call in program.calls:
            if call.site != self.site or Outside(self.slot) not in call.args:
                continue
            free, matrix = program.fresh(), Outside(self.slot)
            counts = made("torch.sum", free, matrix, -1, True, like=call)
            least = made("torch.clamp", free + 1, Value(free), LEAST, like=call)
            shares = made("torch.div", free + 2, matrix, Value(free + 1), like=call)
            args = tuple(Value(free + 2) if a == matrix else a for a in call.args)
            program = program.replaced(call, counts, least, shares, changed(call, args=args))
        return program

    def edit(self, sources: Sources) -> Sources:
        place = the_call(sources, self.site, lambda p: _multiplies(p.node))
        node = place.node
        factor = node.left if isinstance(node, ast.BinOp) else _first(node)
        if factor is None:
            raise CannotEdit(f"{self.site.file}, line {self.site.line}: the matrix was not found")
        matrix = place.of(factor)
        shares = f"{matrix.operand} / {matrix.operand}.sum(-1, keepdim=True).clamp(min={LEAST:g})"
        return sources.spliced(matrix.instead(f"({shares})" if isinstance(node, ast.BinOp) else shares))


def _multiplies(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.MatMult)
    return isinstance(node, ast.Call) and _first(node) is not None


def _first(node: ast.AST) -> ast.expr | None:
    """The first factor of `torch.mm(a, b)` or `a.mm(b)`."""
    func = node.func if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
    if func is None or not isinstance(node, ast.Call) or func.attr not in ("mm", "matmul", "bmm"):
        return None
    return node.args[0] if len(node.args) > 1 else func.value
