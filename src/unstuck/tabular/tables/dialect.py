"""Detect the dialect of a text file (delimiter, decimal mark, encoding, header) from its first bytes."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from unstuck.tabular.tables.amounts import MARKS, matched
from unstuck.tabular.tables.layout import Records, layout
from unstuck.tabular.tables.missing import MISSING
from unstuck.tabular.tables.refusal import TableError, shown

DELIMITERS = ("\t", ";", "|", ",")
"""Tried in this order on a tie: commas also occur inside numbers and sentences."""
RECORDS = 200
CELLS = 50_000
"""Limits of the sample: records, and cells if the records are wide."""

NUMBER = {
    ".": re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*|\s*[-+]?inf(inity)?\s*", re.IGNORECASE),
    ",": re.compile(r"\s*[-+]?(\d+,?\d*|,\d+)(e[-+]?\d+)?\s*|\s*[-+]?inf(inity)?\s*", re.IGNORECASE),
}
DATE = re.compile(
    r"(\d{4}[-/]\d\d?([-/]\d\d?)?|\d\d?[-/.]\d\d?[-/.](\d\d){1,2})([ T]\d\d?:\d\d.*)?"
    r"|\d\d?:\d\d(:\d\d)?(\s?[AaPp][Mm])?"
)
BOOLEAN = re.compile("true|false", re.IGNORECASE)
THOUSANDS = {d: re.compile(rf"[-+]?\d{{1,3}}([{m}])\d{{3}}(\1\d{{3}})*([{d}]\d+)?") for d, m in MARKS.items()}
SINGLE_QUOTED = re.compile(r"(?:^|[\t;|,])'[^'\n]*'(?=[\t;|,\r\n]|$)", re.MULTILINE)


@dataclass(frozen=True)
class Dialect:
    """How the file is written; None: to be detected."""

    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    header: bool | None = None
    quote: str = '"'
    skip: int = 0
    """Lines before the names, or before the rows: titles and comments."""
    comment: str = ""
    """What lines begin with that are not rows; empty: none seen."""
    slow: bool = False
    """Whether Python's csv module has to read it: blanks before quotation marks or between columns, comments between
    rows."""
    usual: str = "."
    """The decimal mark if the file leaves it open."""
    order: str | None = None
    """dmy or mdy, for dates that leave the order open."""
    missing: tuple[str, ...] = ()
    """Words for a missing value."""

    def __str__(self) -> str:
        names = {"\t": "tab", " ": "space"}
        return (
            f"delimiter {names.get(self.delimiter or '', self.delimiter)}, decimal {self.decimal}, "
            f"{self.encoding}, {'with a header row' if self.header else 'no header row'}"
            + (f", {self.skip} line{'s' * (self.skip > 1)} before it skipped" if self.skip else "")
        )


class Sniffed(NamedTuple):
    """A complete dialect, the cells of the header row (or of the first row), and the first rows."""

    dialect: Dialect
    first: list[str]
    rows: list[list[str]]


def checked(dialect: Dialect) -> Dialect:
    """The dialect as the user gave it; raises TableError if it is invalid."""
    if dialect.delimiter is not None and (len(dialect.delimiter) != 1 or dialect.delimiter in '"\r\n\0'):
        raise TableError(f"the delimiter must be one character, not {shown(dialect.delimiter)}")
    if dialect.delimiter is not None and ord(dialect.delimiter) > 127:
        raise TableError(f"the delimiter must be an ASCII character, not {shown(dialect.delimiter)}")
    if dialect.decimal not in (None, ".", ","):
        raise TableError(f"the decimal mark must be '.' or ',', not {shown(dialect.decimal)}")
    if dialect.decimal is not None and dialect.decimal == dialect.delimiter:
        raise TableError(f"{shown(dialect.decimal)} cannot be both the delimiter and the decimal mark")
    try:
        "".encode(dialect.encoding or "utf-8")
    except (LookupError, UnicodeError):
        raise TableError(f"unknown encoding {shown(dialect.encoding)}") from None
    return dialect


def sniff(sample: bytes, whole: bool, wanted: Dialect, file: str) -> Sniffed:
    """Detect the dialect from a file's first bytes; `whole`: they are the whole file. Raises TableError."""
    encoding = wanted.encoding or _encoding(sample, whole, file)
    text = _decoded(sample, encoding, whole, file)
    if "\0" in text:
        raise TableError("contains NUL bytes: it is not text, or has another encoding", file=file)
    if not text.strip("\r\n \ufeff"):
        raise TableError("is empty", file=file)
    quote = "'" if '"' not in text and len(SINGLE_QUOTED.findall(text)) > 1 else '"'
    delimiter = wanted.delimiter or _delimiter(text, whole, quote, wanted.decimal, file)
    records = _records(text, whole, delimiter, quote)
    if wanted.delimiter is None and _divided_by_spaces([r for _, r in records]):
        delimiter = " "
    slow = delimiter == " " or _blank_before_quotes(text, delimiter, quote)
    records = _records(text, whole, delimiter, quote, slow) if slow else records
    if not records:
        raise TableError("no rows found (is a quotation mark never closed?)", file=file)
    usual = wanted.decimal or wanted.usual
    found = layout(records, lambda rows: _has_names(rows, usual))
    decimal = wanted.decimal or _decimal(found.rows, delimiter, usual)
    header = wanted.header
    if header is None:
        header = found.header or _has_names(found.rows, decimal)
    dialect = replace(
        wanted, delimiter=delimiter, decimal=decimal, encoding=encoding, header=header, quote=quote,
        skip=found.skip, comment=found.comment, slow=slow or found.slow,
    )  # fmt: skip
    return Sniffed(dialect, list(found.names or found.rows[0]), found.rows[1:] if header else found.rows)


def _blank_before_quotes(text: str, delimiter: str, quote: str) -> bool:
    d = re.escape(delimiter)
    return bool(re.search(rf"{d} +{quote}[^{quote}\n]*{quote}[ \r\n{d}]", text))


def _encoding(sample: bytes, whole: bool, file: str) -> str:
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if sample.count(0) * 4 > len(sample):
        even, odd = sample[0::2].count(0), sample[1::2].count(0)
        return "utf-16-be" if even > odd else "utf-16-le"
    if _is_utf8(sample, whole):
        return "utf-8"
    # More valid multi-byte sequences than broken ones: damaged UTF-8, not another encoding.
    broken = sample.decode("utf-8", "replace").count("\ufffd")
    multibyte = len(re.findall(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}", sample))
    if multibyte > broken:
        row = sample[: _fault(sample)].count(b"\n") + 1
        raise TableError("invalid UTF-8: set the encoding (for example cp1252) or fix the file", file=file, row=row)
    if re.search(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]", sample):
        raise TableError("is neither text nor a supported format", file=file)
    return "latin-1" if re.search(rb"[\x81\x8d\x8f\x90\x9d]", sample) else "cp1252"


def _is_utf8(sample: bytes, whole: bool) -> bool:
    fault = _fault(sample)
    return fault is None or (not whole and fault >= len(sample) - 3)


def _fault(sample: bytes) -> int | None:
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def _decoded(sample: bytes, encoding: str, whole: bool, file: str) -> str:
    import codecs

    try:
        return codecs.getincrementaldecoder(encoding)().decode(sample, final=whole).removeprefix("\ufeff")
    except (UnicodeError, LookupError) as error:
        raise TableError(f"is not {encoding}: {error}", file=file) from None


def _records(text: str, whole: bool, delimiter: str, quote: str, slow: bool = False) -> Records:
    """The first records with the number of lines before each, without blank ones, and without the last one if the
    sample may have truncated it."""
    lines = parsed(io.StringIO(text, newline=""), delimiter, quote, slow)
    records: Records = []
    cells = before = 0
    try:
        for record in lines:
            if record and not (len(record) == 1 and not record[0].strip()):
                records.append((before, record))
            cells, before = cells + len(record), lines.line_num
            if len(records) > RECORDS or (cells > CELLS and len(records) > 2):
                return records[:-1]
    except csv.Error:
        return records
    return records if whole or len(records) < 2 else records[:-1]


def parsed(lines: Iterable[str], delimiter: str, quote: str, slow: bool) -> Any:
    """Python's reader of delimited text; `slow`: it skips blanks before a cell, and around the lines if blanks separate
    the columns."""
    if delimiter == " ":
        lines = (line.replace("\t", " ").strip() for line in lines)
    return csv.reader(lines, delimiter=delimiter, quotechar=quote, skipinitialspace=slow)


def _delimiter(text: str, whole: bool, quote: str, decimal: str | None, file: str) -> str:
    """The delimiter with the most rows of equal length; ties: most typed cells, then most columns."""
    best, chosen = (0.0, 0.0, 0), None
    for delimiter in DELIMITERS:
        if delimiter == decimal or delimiter not in text:
            continue
        records = [record for _, record in _records(text, whole, delimiter, quote)]
        width, rows = Counter(map(len, records)).most_common(1)[0] if records else (0, 0)
        if width < 2:
            continue
        score = (round(rows / len(records), 1), round(_typed(records), 2), width)
        if delimiter == "\t" and file.lower().endswith((".tsv", ".tab")):
            score = (2.0, 0.0, 0)
        if score > best:
            best, chosen = score, delimiter
    return chosen or ("," if decimal != "," else ";")


def _divided_by_spaces(records: list[list[str]]) -> bool:
    """Whether there is one column, with the same number of words in every row, half of them numbers."""
    rows = [re.findall(r'"[^"]*"|\S+', record[0]) for record in records if len(record) == 1]
    body = rows[1:] or rows
    numbers = sum(bool(NUMBER["."].fullmatch(word)) for row in body for word in row)
    widths = {len(row) for row in rows}
    return len(rows) == len(records) and len(widths) == 1 and 1 < min(widths) <= numbers / len(body) * 2


def _typed(records: list[list[str]]) -> float:
    cells = [cell for record in records[:50] for cell in record[:500]]
    return sum(_is_typed(cell) for cell in cells) / max(len(cells), 1)


def _is_typed(cell: str) -> bool:
    return cell.strip() in MISSING or any(p.fullmatch(cell) for p in (*NUMBER.values(), DATE, BOOLEAN))


def _decimal(records: list[list[str]], delimiter: str, usual: str) -> str:
    """The decimal mark that most numbers show; `usual` if none does."""
    found = (matched(cell.strip()) for record in records for cell in record)
    cells = [match["digits"] for match in found if match]
    commas = [c for c in cells if "," in c and NUMBER[","].fullmatch(c)]
    points = [c for c in cells if "." in c and NUMBER["."].fullmatch(c)]
    with_both = Counter(c.rfind(",") > c.rfind(".") for c in cells if _both(c))
    if delimiter == "," and all(THOUSANDS["."].fullmatch(c) for c in commas) and not with_both[True]:
        return "."  # in a comma-separated file, "12,345" is more likely twelve thousand than twelve
    if usual == "," and not commas and not with_both and all(THOUSANDS[","].fullmatch(c) for c in points):
        return ","
    return "," if len(commas) + with_both[True] > len(points) + with_both[False] else "."


def _both(cell: str) -> bool:
    return "," in cell and "." in cell and any(p.fullmatch(cell) for p in THOUSANDS.values())


def _has_names(records: list[list[str]], decimal: str) -> bool:
    """Whether the first record holds the column names."""
    first, rest = records[0], records[1:]
    sorts = [_sort(cell, decimal) for cell in first]
    for j, sort in enumerate(sorts):
        below = {_sort(record[j], decimal) for record in rest if j < len(record)} - {"missing"}
        if sort == "text" and len(below) == 1 and below != {"text"}:
            return True
    if [cell.strip() for cell in first if cell.strip()] == [str(i) for i in range(len(first))] and len(first) > 2:
        return bool(rest)  # 0, 1, 2, ...: written by pandas for a frame without names
    if set(sorts) - {"text", "missing"}:
        return False
    return not any(record[j : j + 1] == [cell] for record in rest for j, cell in enumerate(first) if cell.strip())


def _sort(cell: str, decimal: str) -> str:
    cell = cell.strip()
    if cell in MISSING:
        return "missing"
    if NUMBER[decimal].fullmatch(cell) or THOUSANDS[decimal].fullmatch(cell):
        return "number"
    if DATE.fullmatch(cell):
        return "date"
    return "boolean" if BOOLEAN.fullmatch(cell) else "text"
