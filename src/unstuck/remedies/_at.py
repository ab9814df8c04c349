"""Finding a statement or an expression again at the site a rule named, for remedies that reword the text there."""

from __future__ import annotations

import ast
from typing import TypeVar

from unstuck.diagnosis.model import Site
from unstuck.remedies.treatment import CannotApply, CannotEdit, Trial
from unstuck.source.text import Place, Sources, Splice

Node = TypeVar("Node", bound=ast.AST)


def node_at(sources: Sources, site: Site, *kinds: type[Node]) -> Place:
    """The node of one of these kinds that stands exactly at a site; CannotEdit where the text has changed there."""
    page, span = sources.page(site.file), sources.span(site)
    found = [n for k in kinds for n in page.all(k) if page.span(n) == span] if page and span else []
    if not found or page is None:
        raise CannotEdit(f"{site.file}, line {site.line}: the text there is not what it was")
    return Place(site.file, page, found[0])


def expression_at(sources: Sources, site: Site) -> Place:
    """The expression that stands exactly at a site."""
    return node_at(sources, site, ast.expr)


def statement_at(sources: Sources, site: Site) -> Place:
    """The statement that stands exactly at a site."""
    return node_at(sources, site, ast.stmt)


def loop_around(place: Place) -> Place:
    """The statement of the nearest loop around a place."""
    loop = place.page.around(place.node, ast.For) or place.page.around(place.node, ast.While)
    if loop is None:
        raise CannotEdit(f"{place.file}: no loop stands around {place.code.splitlines()[0]}")
    return place.of(loop)


def at_start_of(block: Place, *lines: str) -> Splice:
    """New lines at the start of a loop's or a function's body (behind its docstring)."""
    body = getattr(block.node, "body", [])
    if not body:
        raise CannotEdit(f"{block.file}: no block to write into")
    first = block.of(body[1] if _is_docstring(body[0]) and len(body) > 1 else body[0])
    if first.indent is None:
        raise CannotEdit(f"{block.file}, line {body[0].lineno}: the block stands on one line")
    return first.preceded(*lines)


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def not_by_replay(trial: Trial, why: str) -> Trial:
    """What `apply` answers where the recorded steps are the same with and without the remedy."""
    del trial
    raise CannotApply(why)
