"""Detect unclosed quotation marks: they swallow rows, which only the values show."""

from __future__ import annotations

import pyarrow as pa

from unstuck.tabular.tables import kernels as pc

ENOUGH = 3
"""Line ends in a value before its lines count as rows: with fewer, the commas may match by chance."""


def left_open(last: str, tail: bytes, quote: str) -> bool:
    """Whether the last value of a file opens a quotation mark that the file's last bytes do not close."""
    closed = tail.replace(b"\0", b"").rstrip(b"\r\n").endswith(quote.encode())
    return "\n" in last and (last.endswith("\n") or not closed)


def swallowing(values: pa.Array, delimiter: str, width: int) -> int | None:
    """The index of the first value that contains whole rows of a table of `width` columns; None if there is none."""
    if width < 2:
        return None
    many = pc.greater_equal(pc.count_substring(values, "\n"), ENOUGH)
    if not pc.any(many).as_py():
        return None
    for place in pc.indices_nonzero(pc.fill_null(many, False)).to_pylist():
        inner = values[place].as_py().split("\n")[1:-1]
        if all(line.count(delimiter) == width - 1 for line in inner):
            return place
    return None
