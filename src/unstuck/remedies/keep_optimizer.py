"""Build one optimizer for the whole run instead of a new one in each step."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Trust
from unstuck.remedies._meaning import functions, returned
from unstuck.remedies._names import needed, spelled
from unstuck.remedies._program import noted
from unstuck.remedies.treatment import CannotApply, CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice

DEPTH = 4
"""Calls of functions that are followed to a construction."""


class KeepOptimizer(Treatment, frozen=True):
    """Takes no arguments: a property becomes a cached one, an attribute is set once."""

    name: ClassVar[str] = "keep-optimizer"
    trust: ClassVar[Trust] = "likely"

    def summary(self) -> str:
        return "build the optimizer once and keep it"

    def apply(self, trial: Trial) -> Trial:
        return noted(kept(trial), self.name)

    def edit(self, sources: Sources) -> Sources:
        places = list(_repeated(sources))
        if len(places) != 1:
            raise CannotEdit(f"expected one place that rebuilds the optimizer, found {len(places)} places")
        return sources.spliced(*_once(places[0]))


def kept(trial: Trial) -> Trial:
    """The trial with one optimizer for all steps; CannotApply if the recorded run has only one."""
    if not any(u.fresh for u in trial.tape.updates):
        raise CannotApply("the recorded run has one optimizer")
    return trial.with_(kept=True)


def _repeated(sources: Sources) -> Iterator[Place]:
    """Properties that return a new optimizer, and assignments of one to an attribute outside of `__init__`."""
    for whole in sources.pages():
        for function in whole.page.all(ast.FunctionDef):
            place = whole.of(function)
            if any(ast.unparse(d) == "property" for d in function.decorator_list):
                yield from (place for r in returned(place) if _builds(sources, r))
            elif function.name != "__init__" and whole.page.around(function, ast.ClassDef) is not None:
                yield from (place.of(s) for s in _settings(place) if _builds(sources, place.of(s.value)))


def _settings(method: Place) -> Iterator[ast.Assign]:
    for statement in method.page.all(ast.Assign, method.node):
        target = statement.targets[0]
        if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
            yield statement


def _builds(sources: Sources, place: Place, depth: int = DEPTH) -> bool:
    """Whether an expression calls something with the parameters of a network, or a function that returns such a
    call."""
    if not isinstance(place.node, ast.Call) or depth == 0:
        return False
    inner = [r for f in functions(sources, place.of(place.node.func)) for r in returned(f)]
    if inner:
        return any(_builds(sources, r, depth - 1) for r in inner)
    given = (a.func.attr for a in ast.walk(place.node) if isinstance(a, ast.Call) and isinstance(a.func, ast.Attribute))
    return any(name in ("parameters", "named_parameters") for name in given)


def _once(place: Place) -> Iterator[Splice]:
    if isinstance(place.node, ast.FunctionDef):
        decorator = next(d for d in place.node.decorator_list if ast.unparse(d) == "property")
        yield place.of(decorator).instead(spelled(place.page, "functools.cached_property"))
        yield from needed(place, "functools.cached_property")
        return
    assert isinstance(place.node, ast.Assign)
    indent, target = place.indent, place.node.targets[0]
    if indent is None or not isinstance(target, ast.Attribute):
        raise CannotEdit(f"{place.file}, line {place.node.lineno}: cannot edit several statements on one line")
    code = f"{place.page.newline}{indent}".join(f"    {line.removeprefix(indent)}" for line in place.code.splitlines())
    yield place.instead(f'if not hasattr(self, "{target.attr}"):{place.page.newline}{indent}{code}')
