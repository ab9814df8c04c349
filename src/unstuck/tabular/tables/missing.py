"""Words for a missing value."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from unstuck.tabular.tables import kernels as pc

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = ("", "NA", "N/A", "n/a", "na", "#N/A", "#NA", "<NA>", "NaN", "nan", "NAN", "-NaN", "-nan")
MISSING += ("NULL", "Null", "null", "None", "none", "nil", "?", "-", "--", "---", ".", "..", "NaT", "\u2013", "\u2014")
MISSING += ("#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "#NULL!")
"""Words for a missing number, date or boolean."""


def without(text: pa.Array, words: Collection[str]) -> pa.Array:
    """Text trimmed, with null for these words."""
    import pyarrow as pa

    text = pc.utf8_trim_whitespace(text.cast(pa.string()))
    return pc.if_else(pc.is_in(text, value_set=pa.array(list(words), pa.string())), pa.scalar(None, pa.string()), text)
