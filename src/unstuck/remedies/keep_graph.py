"""Keep the autograd graph: no detach, .data or no_grad between the weights and the loss."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

import msgspec

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._moves import gathered
from unstuck.remedies._names import full_name
from unstuck.remedies._program import changed, everywhere, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Program

COPIES = {"torch.tensor", "torch.as_tensor", "torch.autograd.Variable", "torch.from_numpy"}
HANDED_OUT = {"numpy", "cpu", "item"}
"""These leave the graph; a fault only inside a call that makes a tensor of the result again."""
SILENT = {"torch.no_grad", "torch.inference_mode", "torch.set_grad_enabled"}


class KeepGraph(Treatment, frozen=True):
    """`site`: the innermost site of the call that detaches (detach, .data), or that runs under no_grad."""

    name: ClassVar[str] = "keep-graph"
    trust: ClassVar[Trust] = "likely"

    site: Site

    def summary(self) -> str:
        return "keep the graph attached, so that gradients reach the weights"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._whole, "the recorded step detaches nothing there"), self.name)

    def _whole(self, program: Program) -> Program:
        while (
            cut := next((c for c in program.calls if c.op.cuts == "detached" and c.site == self.site), None)
        ) is not None:
            program = program.without(cut)
        calls = tuple(changed(c, grad=True) for c in program.calls)
        return msgspec.structs.replace(program, calls=calls)

    def edit(self, sources: Sources) -> Sources:
        places = sources.calls(self.site)
        if not places:
            raise CannotEdit(f"{self.site.file}, line {self.site.line}: the call was not found")
        cuts = list(_cuts(places[0])) or [s for place in _later(places[0]) for s in _cuts(place)]
        found = cuts or list(_silence(places[0])) or list(_on_the_way(sources))
        return gathered(sources, found, f"line {self.site.line}: the call that detaches was not found")


def _cuts(place: Place) -> Iterator[Splice]:
    """Every `h.detach()`, `h.data` and `torch.tensor(h)` of the statement becomes `h` (of nested ones, the
    outermost)."""
    taken: list[tuple[int, int]] = []
    for node in _widest_first(place):
        start, end = place.page.span(node)
        bare = _bare(place, node)
        if bare is not node and _is_cut(place, node) and not any(a <= start and end <= b for a, b in taken):
            taken.append((start, end))
            idle = _itself(place, node, bare)
            yield idle.removed() if idle is not None else place.of(node).instead(place.of(bare).code)


def _itself(place: Place, node: ast.expr, bare: ast.expr) -> Place | None:
    """The whole statement, if only `loss = loss` would be left of it."""
    parent = place.page.parents.get(node)
    same = isinstance(parent, ast.Assign) and [place.of(t).code for t in parent.targets] == [place.of(bare).code]
    return place.of(parent) if same and parent is not None else None


def _later(place: Place) -> Iterator[Place]:
    """The statements after it in its block, up to the backward: a finished loss may be detached too."""
    statement = place.page.statement(place.node)
    row = place.page.siblings(statement)
    for later in row[row.index(statement) + 1 :]:
        yield place.of(later)
        if any(isinstance(n, ast.Attribute) and n.attr == "backward" for n in ast.walk(later)):
            return


def _on_the_way(sources: Sources) -> Iterator[Splice]:
    """If the forward itself detaches nothing: everything that does between the start of the loop and its backward."""
    for whole in sources.pages():
        for name in whole.page.all(ast.Attribute):
            loop = whole.page.around(name, ast.For) if name.attr == "backward" else None
            if isinstance(loop, ast.For) and (last := whole.page.statement(name)) in loop.body:
                for statement in loop.body[: loop.body.index(last)]:
                    if isinstance(statement, ast.With) and _is_silent(whole, statement.items[0].context_expr):
                        yield from _silence(whole.of(statement.body[0]))
                    else:
                        yield from _cuts(whole.of(statement))


def _widest_first(place: Place) -> list[ast.expr]:
    spans = place.page.span
    return sorted(place.page.all(ast.expr, place.page.statement(place.node)), key=lambda n: (spans(n)[0], -spans(n)[1]))


def _is_cut(place: Place, node: ast.expr) -> bool:
    return not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in HANDED_OUT)


def _bare(place: Place, node: ast.expr) -> ast.expr:
    """An expression without the detaching calls around it."""
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr="detach" | "numpy" | "cpu" | "item"), args=[]):
            return _bare(place, owner)
        case ast.Call(func=ast.Name(id="float"), args=[inner]) if isinstance(place.page.parents.get(node), ast.Call):
            return _bare(place, inner)
        case ast.Call(func=ast.Attribute(value=owner, attr="requires_grad_"), args=[]):
            return inner if (inner := _bare(place, owner)) is not owner else node
        case ast.Attribute(value=owner, attr="data") if not full_name(place.page, node):
            return _bare(place, owner)
        case ast.Call(func=func, args=[inner, *_]) if full_name(place.page, func) in COPIES:
            return node if isinstance(inner, ast.List | ast.Tuple | ast.Constant) else _bare(place, inner)
    return node


def _silence(place: Place) -> Iterator[Splice]:
    """`with torch.no_grad():` is removed and its body dedented; a decorator is removed with its line."""
    block = place.page.around(place.node, ast.With)
    if block is not None and len(block.items) == 1 and _is_silent(place, block.items[0].context_expr):
        yield from _dedented(place.of(block), block)
    function = place.page.function(place.node)
    for decorator in function.decorator_list if function else ():
        if _is_silent(place, decorator):
            yield Splice(place.file, *place.page.line(decorator.lineno), "")


def _is_silent(place: Place, node: ast.expr) -> bool:
    return full_name(place.page, node.func if isinstance(node, ast.Call) else node) in SILENT


def _dedented(place: Place, block: ast.With) -> Iterator[Splice]:
    page, outer, inner = place.page, place.indent, place.of(block.body[0]).indent
    if outer is None or inner is None:
        raise CannotEdit(f"{place.file}, line {block.lineno}: cannot edit a block on one line")
    yield Splice(place.file, page.line(block.lineno)[0], page.line(block.body[0].lineno)[0], "")
    for number in range(block.body[0].lineno, (block.end_lineno or block.lineno) + 1):
        start, end = page.line(number)
        if page.text[start:end].startswith(inner):
            yield Splice(place.file, start, start + len(inner), outer)
