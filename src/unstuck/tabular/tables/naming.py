"""The names of the columns: unnamed ones are numbered, equal ones are told apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unstuck.tabular.tables.refusal import shown


def names(cells: Sequence[str], header: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The column names of a header row, or numbers without one; and notes."""
    if not header:
        return tuple(f"column {i}" for i in range(1, len(cells) + 1)), ()
    return distinct(cell.strip() or f"column {i}" for i, cell in enumerate(cells, start=1))


def distinct(found: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names, where a repeated one gets a number as in pandas (x, x.1, x.2); and a note for each of those."""
    found = tuple(found)
    known, out, notes = set(found), [], []
    seen: dict[str, int] = {}
    for name in found:
        if name not in seen:
            seen[name] = 0
            out.append(name)
            continue
        while (other := f"{name}.{seen[name] + 1}") in known:
            seen[name] += 1
        seen[name] += 1
        known.add(other)
        out.append(other)
        notes.append(f"several columns are called {shown(name)}: column {len(out)} is read as {shown(other)}")
    return tuple(out), tuple(notes[:5])
