"""Functions that could have trained and did not: what stands in them says nothing of the run.

A file of tests, or a package with several trainings, holds loops that this run never entered. Whether one ran is not
read from the text: the tape lists every function that was on the stack of a backward, where it saw them all.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.source.scopes import Function
from unstuck.source.text import Page
from unstuck.tape.model import Tape

Idle = frozenset[tuple[str, str]]
"""The file and the qualified name of each function."""


def idle(tape: Tape, pages: dict[str, Page]) -> Idle:
    """The functions that hold a call of `.backward()` and were on the stack of none; empty where the run was cut."""
    ran = tape.facts.trained_in
    if not ran or tape.cut:
        return frozenset()
    holding = ((file, name, f) for file, page in pages.items() for name, f in functions(page.tree) if _trains(f))
    return frozenset((file, name) for file, name, _ in holding if not _ran(file, name, ran))


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    """Every function below a node with its qualified name, as `co_qualname` gives it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield prefix + node.name, node
            yield from functions(node, f"{prefix}{node.name}.<locals>.")
        else:
            yield from functions(node, f"{prefix}{node.name}." if isinstance(node, ast.ClassDef) else prefix)


def bodies(pages: dict[str, Page], idle: Idle) -> frozenset[ast.AST]:
    """The nodes in the bodies of idle functions."""
    found = (f for file, name in idle for other, f in functions(pages[file].tree) if other == name)
    return frozenset(node for f in found for statement in f.body for node in ast.walk(statement))


def _trains(function: Function) -> bool:
    calls = (n for n in ast.walk(function) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute))
    return any(call.func.attr.endswith("backward") for call in calls)  # type: ignore[union-attr]


def _ran(file: str, name: str, ran: tuple[tuple[str, str], ...]) -> bool:
    inner = f"{name}.<locals>."
    return any(file == other and (name == q or q.startswith(inner)) for other, q in ran)
