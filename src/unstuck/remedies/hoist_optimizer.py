"""Build the network and its optimizer once, before the loop."""

from __future__ import annotations

import ast
import re
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import node_at, statement_at
from unstuck.remedies._moves import arguments_of
from unstuck.remedies._program import noted
from unstuck.remedies.keep_optimizer import kept
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice


class HoistOptimizer(Treatment, frozen=True):
    """The statements at `sites` move before the loop at `loop`."""

    name: ClassVar[str] = "hoist-optimizer"
    trust: ClassVar[Trust] = "likely"
    sites: tuple[Site, ...]
    loop: Site

    def summary(self) -> str:
        return f"build the network and its optimizer once, before the loop in line {self.loop.line}"

    def apply(self, trial: Trial) -> Trial:
        return noted(kept(trial), self.name)

    def edit(self, sources: Sources) -> Sources:
        loop = node_at(sources, self.loop, ast.For, ast.While)
        places = [_checked(statement_at(sources, site), loop) for site in self.sites]
        lines = tuple(line for place in places for line in _lines(place))
        return sources.spliced(loop.preceded(*lines), *(place.removed() for place in places))


def _checked(place: Place, loop: Place) -> Place:
    """A statement of the loop that depends on nothing else that the loop assigns, except for the other moved
    statements."""
    if place.file != loop.file or loop.node not in place.page.above(place.node):
        raise CannotEdit(f"{place.file}, line {getattr(place.node, 'lineno', 0)}: not a statement of the loop")
    around = [n for n in (loop.node, *place.page.above(place.node)) if isinstance(n, ast.For)]
    made = {n.id for o in around for n in ast.walk(o.target) if isinstance(n, ast.Name)}
    read = {n.id for n in ast.walk(place.node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    if made & read:
        raise CannotEdit(
            f"{place.file}: {place.code.splitlines()[0]} depends on the loop's {', '.join(sorted(made & read))}"
        )
    return place


def _lines(place: Place) -> list[str]:
    """The lines of a statement without their indentation."""
    indent = place.indent
    if indent is None:
        raise CannotEdit(f"{place.file}: cannot edit several statements on one line:  {place.code.splitlines()[0]}")
    return [line.removeprefix(indent) for line in place.code.splitlines()]


class HandOptimizer(Treatment, frozen=True):
    """The optimizer built at `made` in a function is built before `loop` and passed in by the call at `call`."""

    name: ClassVar[str] = "hand-optimizer"
    trust: ClassVar[Trust] = "likely"
    made: Site
    call: Site
    loop: Site

    def summary(self) -> str:
        return f"build the optimizer before the loop in line {self.loop.line} and pass it in"

    def apply(self, trial: Trial) -> Trial:
        return noted(kept(trial), self.name)

    def edit(self, sources: Sources) -> Sources:
        made, call = statement_at(sources, self.made), node_at(sources, self.call, ast.Call)
        loop, function = node_at(sources, self.loop, ast.For, ast.While), made.page.function(made.node)
        if function is None or not isinstance(made.node, ast.Assign) or made.file != call.file:
            raise CannotEdit(f"{made.file}: {made.code.splitlines()[0]} is not an assignment in a function")
        name, given = ast.unparse(made.node.targets[0]), _given(arguments_of(call), function)
        built = "".join(given.get(part, part) for part in _parts(made.code))
        return sources.spliced(
            loop.preceded(*built.splitlines()),
            made.removed(),
            _first(made.of(function), function.args.args, name),
            _first(call, arguments_of(call).args, name),
        )


def _given(call: ast.Call, function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, str]:
    """The argument of the call for each parameter of the function, as text."""
    names = [a.arg for a in function.args.args]
    if names[:1] == ["self"] or any(isinstance(a, ast.Starred) for a in call.args):
        raise CannotEdit(f"{function.name} is a method; move its optimizer to __init__ by hand")
    by_place = dict(zip(names, map(ast.unparse, call.args), strict=False))
    return by_place | {k.arg: ast.unparse(k.value) for k in call.keywords if k.arg}


def _parts(code: str) -> list[str]:
    """The text, split into names and the rest; keywords and attributes are not names."""
    return re.split(r"((?<![\w.])[A-Za-z_]\w*(?!\w)(?!\s*=[^=]))", code)


def _first(place: Place, row: list, name: str) -> Splice:
    """A name inserted before other arguments or parameters."""
    if row:
        at = place.page.span(row[0])[0]
        return Splice(place.file, at, at, f"{name}, ")
    start = place.page.span(place.node)[0]
    at = place.page.text.index("(", start) + 1
    more = bool(getattr(place.node, "keywords", []))
    return Splice(place.file, at, at, f"{name}, " if more else name)
