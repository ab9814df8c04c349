"""Where a table with typed columns comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """What is known about a source beside its schema."""

    first_row: int = 1
    notes: tuple[str, ...] = ()
    declared: bool = True
    """Whether text is declared as such, so that plain numbers in it are words."""
    loose: frozenset[str] = frozenset()
    """Columns whose texts may be plain numbers all the same: those of Python objects."""
    order: str | None = None
    missing: tuple[str, ...] = ()
