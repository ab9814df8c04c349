"""How a file calls the things of torch: from its own words to full names, and back to its own words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from unstuck.source.scopes import imports, scopes
from unstuck.source.text import Page, Place, Splice


@lru_cache(maxsize=64)
def imported(page: Page) -> dict[str, str]:
    """Full names by local name: `{"nn": "torch.nn", "Adam": "torch.optim.Adam", "torch": "torch"}`."""
    return {b.name: b.origin for b in scopes(page).bindings if b.kind == "import"}


def full_name(page: Page, node: ast.AST) -> str:
    """An expression's dotted name through the file's imports (`F.relu`: `torch.nn.functional.relu`); "" if none."""
    return scopes(page).full_name(node)


def spelled(page: Page, name: str) -> str:
    """A full name in the file's own words: `nn.ReLU`, `F.relu`, `torch.nn.ReLU`, whatever it imported."""
    known = {full: local for local, full in _at_top(page).items()}
    head, tail = name, ""
    while head:
        if head in known:
            return known[head] + tail
        head, _, last = head.rpartition(".")
        tail = f".{last}{tail}"
    return name


def needed(place: Place, *names: str) -> Iterator[Splice]:
    """The import of torch, where one of the names cannot be spelled without it."""
    missing = sorted({n.partition(".")[0] for n in names if spelled(place.page, n) == n} - set(_at_top(place.page)))
    for package in missing:
        yield from at_top(place, f"import {package}")


def at_top(place: Place, *lines: str) -> Iterator[Splice]:
    """New lines behind the imports (or the docstring, or at the start); a first empty line asks for a last one."""
    page, last = place.page, _last_import(place.page)
    number = (last.end_lineno or last.lineno) if last else 0
    following = page.text[page.line(number + 1)[0] :].lstrip(" \t") if number < page.text.count("\n") else ""
    gap = [""] if lines[0] == "" and following and following[0] not in "\r\n" else []
    at = page.line(number)[1] if number else 0
    missing = page.newline if at and not page.text[:at].endswith(("\n", "\r")) else ""
    yield Splice(place.file, at, at, missing + "".join(f"{line}{page.newline}" for line in [*lines, *gap]))


@lru_cache(maxsize=64)
def _at_top(page: Page) -> dict[str, str]:
    found = (n for n in page.tree.body if isinstance(n, ast.Import | ast.ImportFrom))
    return dict(pair for n in found for pair in imports(n))


def _last_import(page: Page) -> ast.stmt | None:
    body = page.tree.body
    docstring = body[:1] if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) else []
    early = []
    for node in body[len(docstring) :]:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            break
        early.append(node)
    found = [n for n in early if isinstance(n, ast.Import | ast.ImportFrom)]
    return (found or docstring or [None])[-1]
