"""Spreadsheets: .xlsx, .xlsb, .xls and .ods."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from typing import Any

from unstuck.tabular.tables.cells import column
from unstuck.tabular.tables.layout import layout
from unstuck.tabular.tables.naming import names
from unstuck.tabular.tables.origin import Origin
from unstuck.tabular.tables.refusal import TableError, near, refusing, shown
from unstuck.tabular.tables.typed import Typed, of_columns


def is_spreadsheet(file: str) -> bool:
    """Whether a zip archive is a spreadsheet."""
    try:
        with zipfile.ZipFile(file) as archive:
            found = set(archive.namelist())
            kind = archive.read("mimetype") if "mimetype" in found else b""
    except (zipfile.BadZipFile, OSError, KeyError, RuntimeError):
        return False
    return any(name.startswith("xl/workbook") for name in found) or b"opendocument.spreadsheet" in kind


def spreadsheet(file: str, name: str | None, header: bool | None, origin: Origin) -> Typed:
    """The named sheet of a file, or its first with rows."""
    from python_calamine import CalamineError, load_workbook

    try:
        with load_workbook(file) as book:
            rows, sheet, others = _sheet(book, name, file)
    except CalamineError as error:
        raise TableError(f"cannot be read as a spreadsheet: {error}", file=file) from None
    notes = [f"sheet {shown(sheet)}" + (f" ({', '.join(map(shown, others))} not read)" if others else "")]
    with refusing(file):
        return _table(file, rows, header, notes, origin)


def _sheet(book: Any, name: str | None, file: str) -> tuple[list[list[Any]], str, list[str]]:
    known = list(book.sheet_names)
    if name is not None and name not in known:
        raise TableError(f"no sheet {shown(name)}{near(name, known)}", file=file)
    held = {one: book.get_sheet_by_name(one).to_python(skip_empty_area=False) for one in known}
    full = [one for one, rows in held.items() if any(cell != "" for row in rows for cell in row)]
    chosen = name if name is not None else full[0] if full else ""
    if chosen not in full:
        raise TableError("has no cells with a value", file=file)
    return held[chosen], chosen, [one for one in full if one != chosen]


def _table(file: str, rows: list[list[Any]], header: bool | None, notes: list[str], origin: Origin) -> Typed:
    rows = [[_cell(cell) for cell in row] for row in rows]
    width = max(map(len, rows))
    rows = [row + [None] * (width - len(row)) for row in rows]
    filled = [j for j in range(width) if any(row[j] is not None for row in rows)]
    numbered = [(i, [row[j] for j in filled]) for i, row in enumerate(rows) if any(cell is not None for cell in row)]
    texts = [(i, ["" if cell is None else str(cell) for cell in row]) for i, row in numbered[:200]]
    found = layout(texts, lambda _: True)
    skip = found.skip
    body = [row for i, row in numbered if i >= skip]
    has_names = header if header is not None else _has_names(body)
    first = ["" if cell is None else _text(cell) for cell in body[0]]
    columns, told = names(first, has_names)
    body = body[has_names:]
    if not body:
        raise TableError("has a header but no rows", file=file)
    notes = [*notes, *([f"{skip} rows above the table skipped"] if skip else []), *told]
    arrays = [column([row[j] for row in body]) for j in range(len(columns))]
    return of_columns(file, columns, arrays, notes, replace(origin, first_row=skip + 1 + has_names))


def _cell(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _text(cell: Any) -> str:
    from unstuck.tabular.tables.cells import text

    return text(cell)


def _has_names(body: list[list[Any]]) -> bool:
    """Whether the first row holds names: only texts and gaps, or texts where numbers or dates follow."""
    first = body[0]
    below = ((a, b) for row in body[1:20] for a, b in zip(first, row, strict=True))
    if any(isinstance(a, str) and b is not None and not isinstance(b, str) for a, b in below):
        return True
    return all(cell is None or isinstance(cell, str) for cell in first) and len(body) > 1
