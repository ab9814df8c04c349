"""What the terminal's faces are set with: titled parts, plain tables, and one way to turn them into text."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def printed(parts: Sequence[RenderableType], width: int, colour: bool, ascii: bool) -> str:
    """The parts as text, an empty line between them. A `Group` is not wrapped: a diff must stay as it is."""
    paper = StringIO()
    system = "standard" if colour else None
    console = Console(file=paper, width=width, force_terminal=colour, color_system=system, highlight=False, emoji=False)
    for i, part in enumerate(parts):
        if i:
            console.print()
        console.print(part, crop=False, overflow="ignore", soft_wrap=isinstance(part, Group))
    text = "\n".join(line.rstrip() for line in paper.getvalue().split("\n"))
    return text.encode("ascii", "replace").decode() if ascii else text


def stacked(*rows: RenderableType) -> Table:
    """Rows one below the other; long words are broken rather than cut."""
    table = Table.grid()
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(row)
    return table


def titled(title: str, *body: RenderableType) -> Table:
    """A bold title with what belongs to it, indented."""
    return stacked(Text(title, "bold"), *(Padding(part, (0, 0, 0, 2)) for part in body))


def table(*heads: str) -> Table:
    """A table without lines."""
    empty = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for head in heads:
        empty.add_column(head, overflow="fold")
    return empty
