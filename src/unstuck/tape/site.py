"""A place in the person's source."""

from __future__ import annotations

import msgspec


class Site(msgspec.Struct, frozen=True, omit_defaults=True):
    """A range of source code: 1-based lines, 0-based columns, as in the syntax tree."""

    file: str
    line: int
    column: int = -1
    end_line: int = -1
    end_column: int = -1
    function: str = ""
    cell: int = 0
    """The code cell of a notebook, as in `In [1]` after a run of all cells (0: a file); `line` is then its line."""
