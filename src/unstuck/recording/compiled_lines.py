"""The person's lines behind a call in a compiled graph, read from the stack that Dynamo wrote down for it as text.

The text holds the column where an operation begins only as a row of carets, and not where it ends: the syntax tree of
the file tells the rest.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from unstuck.recording.call_sites import CallSites
from unstuck.tape.site import Site

_FRAME = re.compile(
    r'^  File "(?P<file>.+)", line (?P<line>\d+), in .*\n(?:    \S.*\n(?:    (?P<carets> *[~^]+)\n)?)?', re.MULTILINE
)


class Part(NamedTuple):
    """An expression or assignment of the person's, where it begins in its line, and the function that it stands in."""

    node: Any
    begins: int
    """Characters after the line's indentation."""
    function: str


class CompiledLines:
    """Turns such texts into sites."""

    def __init__(self, call_sites: CallSites) -> None:
        self._call_sites = call_sites
        self._parts: dict[str, dict[int, list[Part]]] = {}

    def sites(self, stack: str, operation: str) -> tuple[Site, ...]:
        """The person's frames in a stack that led to an operation of this name, innermost first."""
        frames = [m for m in _FRAME.finditer(stack) if self._call_sites.relative(m["file"]) is not None]
        return tuple(self._site(m, operation) for m in frames[::-1])

    def _site(self, frame: re.Match[str], operation: str) -> Site:
        file, line = self._call_sites.relative(frame["file"]) or "", int(frame["line"])
        begins = len(frame["carets"]) - len(frame["carets"].lstrip()) if frame["carets"] else 0
        found = [part for part in self._at(file, line) if part.begins == begins]
        if not found:
            return Site(file, line)
        node, _, function = min(found, key=lambda p: (_name(p.node) != operation, _length(p.node)))
        return Site(file, line, node.col_offset, node.end_lineno, node.end_col_offset, function)

    def _at(self, file: str, line: int) -> list[Part]:
        if file not in self._parts:
            self._parts[file] = {}
            for part in _parts(self._call_sites.texts().get(file, "")):
                self._parts[file].setdefault(part.node.lineno, []).append(part)
        return self._parts[file].get(line, [])


def _parts(text: str) -> Iterator[Part]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # a cell with magics, or no Python at all: the line alone has to do
        return
    lines = text.encode().splitlines()
    waiting: list[tuple[ast.AST, str, str]] = [(tree, "<module>", "")]
    while waiting:
        node, function, prefix = waiting.pop()
        if isinstance(node, ast.Call | ast.BinOp | ast.UnaryOp | ast.Compare | ast.Subscript | ast.AugAssign):
            line = lines[node.lineno - 1]
            before = line[: node.col_offset].decode(errors="replace")
            yield Part(node, len(before) - (len(line) - len(line.lstrip())), function)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function, prefix = f"{prefix}{node.name}", f"{prefix}{node.name}.<locals>."
        elif isinstance(node, ast.ClassDef):
            function, prefix = f"{prefix}{node.name}", f"{prefix}{node.name}."
        waiting += [(child, function, prefix) for child in ast.iter_child_nodes(node)]


def _name(node: ast.AST) -> str:
    called = getattr(node, "func", None)
    return str(getattr(called, "attr", getattr(called, "id", "")))


def _length(node: Any) -> tuple[int, int]:
    return node.end_lineno - node.lineno, node.end_col_offset
