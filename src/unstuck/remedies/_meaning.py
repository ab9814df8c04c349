"""What an expression in the sources stands for, as places that can be edited."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from unstuck.source.scopes import Function, scopes
from unstuck.source.text import Place, Sources
from unstuck.source.values import Source


def meant(sources: Sources, place: Place) -> list[Place]:
    """What an expression stands for: calls that construct, literals, lambdas; itself where it cannot be followed."""
    source = Source.of(sources)
    return _places(source, source.meant(source.node(place)))


def _places(source: Source, nodes: Iterable[ast.AST]) -> list[Place]:
    return [source.place(n) for n in nodes]


def assigned(scope: Place, name: str) -> list[Place]:
    """The values given to a name in a function or at the top of a file, as expressions."""
    found = scopes(scope.page).bound(name, scope.node)  # type: ignore[arg-type]
    return [scope.of(b.value) for b in found if b.kind == "assign" and b.item < 0 and b.value is not None]


def functions(sources: Sources, place: Place) -> list[Place]:
    """The person's own functions that an expression names."""
    source = Source.of(sources)
    return _places(source, (d for d in source.definitions(source.node(place)) if isinstance(d, Function)))


def classes(sources: Sources, place: Place) -> list[Place]:
    """The person's own classes that an instance (`model`) or a construction (`Net(3)`) may be of."""
    source = Source.of(sources)
    made = (n.func for n in source.meant(source.node(place)) if isinstance(n, ast.Call))
    return _places(source, (d for f in made for d in source.definitions(f) if isinstance(d, ast.ClassDef)))


def method(owner: Place, name: str) -> Place | None:
    """A class's own method."""
    found = [n for n in ast.iter_child_nodes(owner.node) if isinstance(n, Function) and n.name == name]
    return owner.of(found[0]) if found else None


def returned(function: Place) -> list[Place]:
    """The expressions that a function returns."""
    page, node = function.page, function.node
    found = (r for r in page.all(ast.Return, node) if page.function(r) is node and r.value is not None)
    return [function.of(r.value) for r in found if r.value is not None]


def constructed(sources: Sources, place: Place) -> list[tuple[Place, str]]:
    """The constructions an expression stands for, each with the full name of what it constructs."""
    source = Source.of(sources)
    made = (n for n in source.meant(source.node(place)) if isinstance(n, ast.Call))
    return [(source.place(n), name) for n in made if (name := source.full_name(n))]


def applied(sources: Sources, place: Place) -> str:
    """The full name of the torch function or module that a call applies: `self.act(x)` may be `torch.nn.Sigmoid`."""
    return Source.of(sources).applied(place.node) if isinstance(place.node, ast.Call) else ""
