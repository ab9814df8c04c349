"""Errors in data as one line."""

from __future__ import annotations

import difflib
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

SHOWN = 60
"""Maximum characters of the user's data quoted in a message."""


class TableError(ValueError):
    """Data that cannot be read or written; the message is one line with the file, row and column if known.

    Rows are numbered as in a spreadsheet: a text file's header is row 1 and blank lines do not count; in formats
    without a header, the first row is row 1.
    """

    def __init__(self, what: str, *, file: str = "", row: int | None = None, column: str | None = None) -> None:
        self.what, self.file, self.row, self.column = what, file, row, column
        place = ", ".join(
            part
            for part in (f"row {row:,}" if row else "", f"column {shown(column)}" if column is not None else "")
            if part
        )
        super().__init__(": ".join(_one_line(part) for part in (file, place, what) if part))


class Misfit(Exception):
    """A value that its column cannot hold: its index in the current array, and why."""

    def __init__(self, index: int, why: str) -> None:
        self.index, self.why = index, why
        super().__init__(why)


def shown(value: object) -> str:
    """A value quoted for a message: on one line and shortened."""
    text = repr(str(value))
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 4]}...{text[0]}"


def near(word: str, known: Iterable[str]) -> str:
    """`; did you mean ...` if a known word is similar, else an empty string."""
    alike = difflib.get_close_matches(word, list(known)[:10_000], n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(map(shown, alike))}?" if alike else ""


@contextmanager
def refusing(file: str) -> Iterator[None]:
    """Convert any error raised inside by a reading library to a TableError about this file."""
    import pyarrow as pa

    try:
        yield
    except TableError:
        raise
    except OSError as error:
        raise TableError(error.strerror or _first_line(error), file=file) from None
    except MemoryError:
        raise TableError("not enough memory to read it, or its sizes are corrupt", file=file) from None
    except (
        ValueError,
        LookupError,
        TypeError,
        EOFError,
        OverflowError,
        NotImplementedError,
        RuntimeError,
        lzma.LZMAError,
        zlib.error,
        zipfile.BadZipFile,
        pa.ArrowException,
    ) as error:
        raise TableError(f"cannot be read: {_first_line(error)}", file=file) from None


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return _one_line(text.splitlines()[0])[:200] if text else type(error).__name__


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
