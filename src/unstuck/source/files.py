"""The person's files as trees: the nodes of all of them, and where each stands."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import TypeVar

from unstuck.diagnosis.model import Site
from unstuck.source.idle import Idle, bodies
from unstuck.source.scopes import Comprehension, Function
from unstuck.source.text import Page, Place, Sources

Node = TypeVar("Node", bound=ast.AST)
Loop = ast.For | ast.AsyncFor | ast.While | Comprehension
Home = ast.Module | Function

HOMES = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef)


class Files:
    """The files that are Python, the script first."""

    def __init__(self, sources: Sources, idle: Idle = frozenset()) -> None:
        self.pages: dict[str, Page] = {place.file: place.page for place in sources.pages()}
        self.unread = bodies(self.pages, idle)
        """The nodes in functions that could have trained and did not."""
        self.main = sources.main
        self._file = {node: file for file, page in reversed(self.pages.items()) for node in (page.tree, *page.parents)}

    def all(self, kind: type[Node], within: ast.AST | Iterable[ast.AST] | None = None) -> Iterator[Node]:
        """The nodes of a kind, file by file, as they stand in the text; or those within a node (or several).

        Those in functions that could have trained and did not are left out.
        """
        if isinstance(within, ast.AST):
            yield from (n for n in self.page(within).all(kind, within) if n not in self.unread)
            return
        for part in (p.tree for p in self.pages.values()) if within is None else within:
            yield from self.all(kind, part)

    def file(self, node: ast.AST) -> str:
        """The file a node stands in."""
        return self._file[node]

    def page(self, node: ast.AST) -> Page:
        """The parsed file a node stands in."""
        return self.pages[self._file[node]]

    def place(self, node: ast.AST) -> Place:
        """A node with its file and page: what edits are made on."""
        return Place(self.file(node), self.page(node), node)

    def node(self, place: Place) -> ast.expr:
        """The expression at a place of these sources: the same one again, should its page have been parsed anew."""
        page = self.pages[place.file]
        if place.page is page:
            return place.node  # type: ignore[return-value]
        span = place.page.span(place.node)
        return next(n for n in page.all(type(place.node)) if page.span(n) == span)  # type: ignore[return-value]

    def code(self, node: ast.AST) -> str:
        """A node's text."""
        return self.page(node).code(node)

    def site(self, node: ast.AST) -> Site:
        """A node's place, as a finding names it."""
        scope = self.scope(node)
        name = "" if isinstance(scope, ast.Module) else scope.name
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        last, end = getattr(node, "end_lineno", line), getattr(node, "end_col_offset", -1)
        return Site(self.file(node), line, column, last, end, name)

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, from the inside out."""
        return self.page(node).above(node)

    def inside(self, node: ast.AST, outer: ast.AST) -> bool:
        """Whether one node is another or stands within it."""
        return node is outer or outer in self.above(node)

    def before(self, node: ast.AST, other: ast.AST) -> bool:
        """Whether a node ends before another begins, in one file."""
        return self.page(node).span(node)[1] <= self.page(other).span(other)[0]

    def statement(self, node: ast.AST) -> ast.stmt:
        """The statement a node is part of."""
        return self.page(node).statement(node)

    def scope(self, node: ast.AST) -> Home:
        """The function (or the file) that a node stands in."""
        return node if isinstance(node, ast.Module) else next(n for n in self.above(node) if isinstance(n, HOMES))

    def methods(self, name: str, within: ast.AST | None = None) -> Iterator[ast.Call]:
        """The calls `x.name(...)`."""
        found = self.all(ast.Call, within)
        return (c for c in found if isinstance(c.func, ast.Attribute) and c.func.attr == name)

    def owner_class(self, node: ast.AST) -> ast.ClassDef | None:
        """The class that a node is, or in whose body it stands."""
        return next((n for n in (node, *self.above(node)) if isinstance(n, ast.ClassDef)), None)

    def own(self, kind: type[Node], scope: ast.AST) -> Iterator[Node]:
        """The nodes of a kind in a scope or a statement, those of functions defined within it left out."""
        home = scope if isinstance(scope, HOMES) else self.scope(scope)
        return (n for n in self.all(kind, scope) if n is not scope and self.scope(n) is home)

    def loops(self, node: ast.AST) -> tuple[Loop, ...]:
        """The loops around a node in its own function, from the inside out."""
        found, inner = [], node
        for outer in self.above(node):
            if isinstance(outer, HOMES):
                break
            if isinstance(outer, Loop) and _repeats(outer, inner):
                found.append(outer)
            inner = outer
        return tuple(found)


def _repeats(loop: ast.AST, inner: ast.AST) -> bool:
    # The right side of `for x in f():` is run once; so is what stands after `else`.
    if isinstance(loop, ast.For | ast.AsyncFor | ast.While):
        return inner in loop.body
    return not isinstance(inner, ast.comprehension)
