"""Keep the fractions of inputs that were truncated: a float dtype, or `/`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay
from unstuck.remedies._moves import gathered
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Place, Sources, Splice

INTEGERS = ("int", "long", "short", "byte", "uint")


class KeepFractions(Treatment, frozen=True):
    """`site`: the expression that truncates: a `//`, or a cast to an integer dtype."""

    name: ClassVar[str] = "keep-fractions"
    trust: ClassVar[Trust] = "likely"

    site: Site

    def summary(self) -> str:
        return "keep the fractions of the inputs"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "the truncated fractions were not recorded")

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, _splices(expression_at(sources, self.site)), "nothing there truncates fractions")


def _splices(place: Place) -> Iterator[Splice]:
    node = place.node
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
        yield _plain_division(place, node)
    elif isinstance(node, ast.Call):
        given = [*node.args, *(k.value for k in node.keywords if k.arg == "dtype")]
        types = [a for a in given if _is_integer(a)]
        if types:
            yield place.of(types[0]).instead(_float(types[0]))
        elif isinstance(node.func, ast.Attribute):
            end = place.page.span(node.func)[1]
            new = "FloatTensor" if node.func.attr.endswith("Tensor") else "float"
            yield Splice(place.file, end - len(node.func.attr), end, new)


def _plain_division(place: Place, node: ast.BinOp) -> Splice:
    start, end = place.page.span(node.left)[1], place.page.span(node.right)[0]
    at = start + place.page.text[start:end].index("//")
    return Splice(place.file, at, at + 2, "/")


def _is_integer(node: ast.expr) -> bool:
    text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ast.unparse(node)
    return text.rpartition(".")[2].startswith(INTEGERS)


def _float(node: ast.expr) -> str:
    """The float dtype in the same notation: np.float32, torch.float32, "float32", float."""
    if isinstance(node, ast.Constant):
        return '"float32"'
    if isinstance(node, ast.Attribute):
        return f"{ast.unparse(node.value)}.float32"
    return "float"
