"""Tables: data in, Arrow record batches out.

`read` takes a path, a folder, a glob, several of them, or an object in memory, finds out what it is, and gives a
`Table`: its columns and their kinds, its rows where they are known, and batches as often as they are asked for, without
ever holding more than a few of them. `write` puts columns into a file. What cannot be read is a `TableError`, one line.
"""

from unstuck.tabular.tables.kind import BOOLEAN, DATE, NUMBER, TEXT, Kind, image
from unstuck.tabular.tables.reading import read
from unstuck.tabular.tables.refusal import TableError
from unstuck.tabular.tables.table import Table
from unstuck.tabular.tables.writing import write

__all__ = ["BOOLEAN", "DATE", "NUMBER", "TEXT", "Kind", "Table", "TableError", "image", "read", "write"]
