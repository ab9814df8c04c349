"""Files of Stata, SAS and SPSS."""

from __future__ import annotations

import math
from typing import Any

from unstuck.tabular.tables.cells import column
from unstuck.tabular.tables.origin import Origin
from unstuck.tabular.tables.refusal import TableError, refusing
from unstuck.tabular.tables.typed import Typed, of_columns

READERS = {
    "Stata": "read_dta", "SAS": "read_sas7bdat", "SAS transport": "read_xport", "SPSS": "read_sav",
    "SPSS portable": "read_por",
}  # fmt: skip


def program(start: bytes, suffix: str) -> str | None:
    """The program whose file begins so."""
    if start.startswith((b"$FL2", b"$FL3")):
        return "SPSS"
    if start.startswith(b"<stata_dta>") or (suffix == ".dta" and start[:1] in b"\x66\x69\x6c\x6e\x6f\x71\x72\x73"):
        return "Stata"
    if start.startswith(b"HEADER RECORD"):
        return "SAS transport"
    if start[12:16] == b"\xc2\xea\x81\x60":
        return "SAS"
    return "SPSS portable" if suffix == ".por" else None


def statistical(file: str, made_by: str, origin: Origin) -> Typed:
    """The rows, with the labels of values in their place."""
    import pyreadstat

    try:
        with refusing(file):
            data, about = getattr(pyreadstat, READERS[made_by])(file, output_format="dict")
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError) as error:
        raise TableError(f"cannot be read as {made_by}: {error}", file=file) from None
    labels = {name: words for name, words in about.variable_value_labels.items() if words}
    labelled = [name for name in data if name in labels]
    notes = [f"{made_by}, {len(labelled)} columns with labels for their values"] if labelled else [made_by]
    columns = [column([_labelled(_value(v), labels.get(name, {})) for v in data[name]]) for name in data]
    return of_columns(file, list(data), columns, notes, origin)


def _labelled(value: Any, labels: dict[Any, str]) -> Any:
    return labels.get(value, value)


def _value(value: Any) -> Any:
    """NaN and empty texts are missing; numpy's numbers are Python's."""
    if hasattr(value, "item"):
        value = value.item()
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    return value
