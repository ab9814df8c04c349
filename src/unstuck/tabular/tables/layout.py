"""Where the table begins in a text file: title lines, comments, and names that are one fewer than the columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

COMMENTS = ("#", "%", "//")
Records = list[tuple[int, list[str]]]
"""Records, and the number of lines before each."""


@dataclass(frozen=True)
class Layout:
    """`rows`: the first records of the table; `names`: the header's cells, if they are not the first record's."""

    rows: list[list[str]]
    skip: int = 0
    comment: str = ""
    slow: bool = False
    names: tuple[str, ...] = ()

    @property
    def header(self) -> bool:
        """Whether the first record is known to hold the names."""
        return bool(self.names)


def layout(records: Records, has_names: Callable[[list[list[str]]], bool]) -> Layout:
    """Separate titles and comments from the records of a table. `has_names`: whether the first of some records holds
    names."""
    width = Counter(len(record) for _, record in records).most_common(1)[0][0]
    comment = _comment([record for _, record in records], width)
    kept = [(line, r) for line, r in records if not (comment and r[0].lstrip().startswith(comment))]
    within = bool(comment) and _within(records, kept, comment)
    named = _named_by_comment(records, kept, comment, width, has_names)
    if named is not None:
        line, record = named
        names = (record[0].lstrip().removeprefix(comment).strip(), *record[1:])
        return Layout([list(names), *(r for _, r in kept)], line, comment, within, names)
    while len(kept) > 1 and _is_title(kept[0][1], kept[1:], width):
        kept = kept[1:]
    skip = kept[0][0] if kept[0] != records[0] else 0
    rows = [r for _, r in kept]
    return Layout(rows, skip, comment, within, _short(rows, width))


def _comment(records: list[list[str]], width: int) -> str:
    """What comment lines begin with, if some record that begins so has another width than the rows, or stands above
    the rows."""
    for mark in COMMENTS:
        marked = [i for i, r in enumerate(records) if r[0].lstrip().startswith(mark)]
        if marked and (marked[0] == 0 or any(len(records[i]) != width for i in marked)):
            return mark if len(marked) < len(records) else ""
    return ""


def _within(records: Records, kept: Records, comment: str) -> bool:
    first = records.index(kept[0])
    return any(r[0].lstrip().startswith(comment) for _, r in records[first:])


def _named_by_comment(
    records: Records, kept: Records, comment: str, width: int, has_names: Callable[[list[list[str]]], bool]
) -> tuple[int, list[str]] | None:
    """The last comment above the rows, if it has a name for every column and the first row is no header."""
    above = records[: records.index(kept[0])] if comment and kept else []
    last = above[-1] if above else None
    if last is None or len(last[1]) != width or width < 2 or has_names([r for _, r in kept]):
        return None
    return last if has_names([last[1], *(r for _, r in kept)]) else None


def _is_title(record: list[str], rest: Records, width: int) -> bool:
    """Whether a record above the table is a title: one cell, where the next records have at least two."""
    filled = sum(bool(cell.strip()) for cell in record)
    return width > 1 and filled <= 1 and (len(record) != width or width > 2) and _fuller(rest, width)


def _fuller(rest: Records, width: int) -> bool:
    return any(len(r) >= width - 1 and sum(bool(cell.strip()) for cell in r) > 1 for _, r in rest[:20])


def _short(rows: list[list[str]], width: int) -> tuple[str, ...]:
    """Names for all columns if the header lacks one: of the row names, as R writes them, or of an empty last column."""
    first, rest = rows[0], rows[1:]
    if len(first) != width - 1 or not rest or any(not cell.strip() for cell in first):
        return ()
    last_is_empty = all(not r[-1].strip() for r in rest if len(r) == width)
    return (*first, "") if last_is_empty else ("", *first)
