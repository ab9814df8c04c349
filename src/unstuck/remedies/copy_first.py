"""Copy a stored row before it is changed in place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import not_by_replay
from unstuck.remedies._names import needed, spelled
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.edits import node_at
from unstuck.source.text import Place, Sources, Splice

COPY = "copy.deepcopy"


class CopyFirst(Treatment, frozen=True):
    """What the statements at `sites` write to is copied: at the start of its function, or where it is taken."""

    name: ClassVar[str] = "copy-first"
    trust: ClassVar[Trust] = "likely"

    sites: tuple[Site, ...]

    def summary(self) -> str:
        lines = ", ".join(str(n) for n in sorted({site.line for site in self.sites}))
        return f"copy what line{'s' if ',' in lines else ''} {lines} write{'' if ',' in lines else 's'} to"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "the rows as they were stored at first were not recorded")

    def edit(self, sources: Sources) -> Sources:
        splices: dict[tuple[str, int], Splice] = {}
        for site in self.sites:
            for splice in _copied(node_at(sources, site, ast.Assign, ast.AugAssign, ast.Call)):
                splices[splice.file, splice.start] = splice
        return sources.spliced(*splices.values())


def written(node: ast.AST, methods: frozenset[str] = frozenset()) -> str:
    """The name that a statement or a call writes into ("" where it writes into none); `methods`: those that do."""
    match node:
        case ast.AugAssign(target=ast.Name(id=name)):
            return name
        case ast.AugAssign(target=ast.Subscript(value=ast.Name(id=name))):
            return name
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))]):
            return name
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attr)) if not methods or attr in methods:
            return name
    return ""


def arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """The names of a function's arguments."""
    return {a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}


def taken(function: ast.AST, name: str) -> ast.expr | None:
    """The entry of a store (`self.x[i]`) that a function gives a name to first; None where there is none."""
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=ast.Subscript() as value) if found == name:
                return value
    return None


def _copied(place: Place) -> Iterator[Splice]:
    name, function = written(place.node), place.page.function(place.node)
    if function is None or not name:
        raise CannotEdit(f"{place.file}, line {place.node.lineno}: no row of its own is written to")  # type: ignore[attr-defined]
    copy = spelled(place.page, COPY)
    if name in arguments(function):
        first = next(s for s in function.body if not _docstring(s))
        yield place.of(first).preceded(f"{name} = {copy}({name})")
    elif (value := taken(function, name)) is not None:
        yield place.of(value).instead(f"{copy}({place.of(value).code})")
    else:
        raise CannotEdit(f"{place.file}: where {name} is taken was not found")
    yield from needed(place, COPY)


def _docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
