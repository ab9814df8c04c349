"""Open a compressed file as a stream of bytes."""

from __future__ import annotations

import lzma
import zipfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from unstuck.tabular.tables.refusal import TableError, shown

COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
XZ, ZIP = b"\xfd7zXZ", b"PK\x03\x04"
ASIDE = (".md", ".pdf", ".html", ".png", ".jpg", ".names", ".rst", ".doc", ".docx")
"""Members of an archive that are not its table."""


def unpacked(file: str) -> AbstractContextManager[IO[bytes]] | Any:
    """The bytes of a file, plain or compressed; of a zip archive, those of its only table."""
    with Path(file).open("rb") as opened:
        start = opened.read(6)
    if start.startswith(XZ):
        return lzma.open(file)
    if start.startswith(ZIP):
        return _Member(zipfile.ZipFile(file), member(file))
    compression = next((name for magic, name in COMPRESSED.items() if start.startswith(magic)), None)
    return pa.input_stream(file, compression=compression)


class _Member:
    """A member of an archive, closed together with it."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self.archive, self.stream = archive, archive.open(name)

    def __enter__(self) -> IO[bytes]:
        return self.stream

    def __exit__(self, *error: object) -> None:
        self.stream.close()
        self.archive.close()


def member(file: str) -> str:
    """The name of the only table in a zip archive. Raises TableError if there is none or several."""
    with zipfile.ZipFile(file) as archive:
        found = [one.filename for one in archive.infolist() if not one.is_dir() and _is_table(one.filename)]
    if not found:
        raise TableError("is a zip archive without a table", file=file)
    if len(found) > 1:
        listed = ", ".join(map(shown, found[:3])) + (" ..." if len(found) > 3 else "")
        raise TableError(f"is a zip archive of {len(found)} files ({listed}): unpack it and name one", file=file)
    return found[0]


def _is_table(name: str) -> bool:
    path = Path(name)
    hidden = any(part.startswith((".", "__")) for part in path.parts)
    return not hidden and path.suffix.lower() not in ASIDE and not path.name.lower().startswith("readme")
