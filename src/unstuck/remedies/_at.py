"""Finding a statement or an expression again at the site a rule named, for remedies that reword the text there."""

from __future__ import annotations

import ast

from unstuck.diagnosis.model import Site
from unstuck.remedies.treatment import CannotApply, Trial
from unstuck.source.edits import at_start_of, node_at
from unstuck.source.text import Place, Sources

__all__ = ["at_start_of", "expression_at", "node_at", "not_by_replay", "statement_at"]


def expression_at(sources: Sources, site: Site) -> Place:
    """The expression that stands exactly at a site."""
    return node_at(sources, site, ast.expr)


def statement_at(sources: Sources, site: Site) -> Place:
    """The statement that stands exactly at a site."""
    return node_at(sources, site, ast.stmt)


def not_by_replay(trial: Trial, why: str) -> Trial:
    """What `apply` answers where the recorded steps are the same with and without the remedy."""
    del trial
    raise CannotApply(why)
