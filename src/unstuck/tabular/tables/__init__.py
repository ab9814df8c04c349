"""Read tables into Arrow record batches, and write them.

`read` takes a path, a folder, a glob, several of them, or an object in memory, detects the format, and returns a
`Table`: its columns and their kinds, the number of rows if it is known, and the rows in batches. A table can be read
any number of times and never holds more than a few batches. `write` writes columns to a file. Errors are a one-line
`TableError`.
"""

from unstuck.tabular.tables.kind import BOOLEAN, DATE, NUMBER, TEXT, Kind, image
from unstuck.tabular.tables.reading import read
from unstuck.tabular.tables.refusal import TableError
from unstuck.tabular.tables.table import Table
from unstuck.tabular.tables.writing import write

__all__ = ["BOOLEAN", "DATE", "NUMBER", "TEXT", "Kind", "Table", "TableError", "image", "read", "write"]
