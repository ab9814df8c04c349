"""A program's text with its syntax tree: what the mutation operators read, and how they change it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple


class Splice(NamedTuple):
    """Characters to replace, counted from the start of the text."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Text:
    """One file."""

    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def _parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.splitlines(keepends=True)

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """The characters of a node."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)

    def line(self, offset: int) -> int:
        """The line of a character."""
        return self.text.count("\n", 0, offset) + 1

    def code(self, node: ast.expr | ast.stmt) -> str:
        """A node's text."""
        return self.text[slice(*self.span(node))]

    def instead(self, node: ast.expr | ast.stmt, text: str) -> Splice:
        """The node replaced."""
        return Splice(*self.span(node), text)

    def before(self, statement: ast.stmt, text: str) -> Splice:
        """A statement of one line put before another, with its indentation."""
        start, _ = self.span(statement)
        return Splice(start, start, f"{text}\n{' ' * statement.col_offset}")

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, from the inside out."""
        while (parent := self._parents.get(node)) is not None:
            yield parent
            node = parent

    def statement(self, node: ast.AST) -> ast.stmt:
        """The statement a node is part of."""
        return next(n for n in (node, *self.above(node)) if isinstance(n, ast.stmt))

    def scope(self, node: ast.AST) -> ast.AST:
        """The function that a node stands in, or the module."""
        return next(n for n in self.above(node) if isinstance(n, ast.FunctionDef | ast.Module))

    def calls(self, *names: str, within: ast.AST | None = None) -> list[ast.Call]:
        """The calls of functions and methods with these names, as they stand in the text."""
        found = (n for n in ast.walk(within or self.tree) if isinstance(n, ast.Call) and called(n) in names)
        return sorted(found, key=lambda call: self.span(call))

    def given(self, name: ast.expr) -> ast.expr | None:
        """The value last assigned to a name in its function before it is used."""
        if not isinstance(name, ast.Name):
            return None
        start, scope = self.span(name)[0], self.scope(name)
        found = [n for n in ast.walk(scope) if isinstance(n, ast.Assign) and _assigns(n, name.id)]
        before = [n for n in found if self.span(n)[1] < start]
        return max(before, key=lambda n: self.span(n)).value if before else None

    def changed(self, splices: Iterable[Splice]) -> str:
        """The text with characters replaced."""
        text = self.text
        for start, end, new in sorted(splices, reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def _offset(self, line: int, column: int) -> int:
        before, own = self._lines[: line - 1], self._lines[line - 1].encode()
        return sum(map(len, before)) + len(own[:column].decode())


def called(call: ast.Call) -> str:
    """The last name of what is called: `relu` of `torch.nn.functional.relu(x)`."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword argument."""
    return next((k.value for k in call.keywords if k.arg == name), None)


def _assigns(statement: ast.Assign, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for target in statement.targets for n in ast.walk(target))
