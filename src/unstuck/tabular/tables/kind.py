"""The kind of a column: how its values are read for training."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unstuck.tabular.tables.refusal import TableError, near, shown

if TYPE_CHECKING:
    import pyarrow as pa

NAMES = ("number", "text", "boolean", "date", "image", "other")


@dataclass(frozen=True)
class Kind:
    """A column's kind, and the type its values are delivered in.

    - `number`: float64; missing (null) for an empty cell, NaN or a word such as NA. Durations are in days.
    - `boolean`: float64, 0 or 1.
    - `date`: float64, days since 1970-01-01 (UTC if the data has a time zone); the time of day is the fraction. In
      days, size and spread are those of ordinary numbers and microseconds are still distinct.
    - `text`: string; an empty text is missing.
    - `image`: a fixed-size list of uint8 in the order (height, width, channel); `shape` is in the field's metadata
      as a JSON list.
    - `other`: cannot be trained on (lists, structures); the column is listed but reading it raises TableError.
    """

    name: str
    shape: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {'x'.join(map(str, self.shape))}" if self.shape else self.name

    @property
    def type(self) -> pa.DataType:
        """The Arrow type of its values."""
        import pyarrow as pa

        if self.name == "image":
            return pa.list_(pa.uint8(), math.prod(self.shape))
        return pa.string() if self.name == "text" else pa.float64()

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the field in a batch."""
        return {"kind": self.name} | ({"shape": json.dumps(self.shape)} if self.shape else {})


NUMBER, TEXT, BOOLEAN, DATE, OTHER = (Kind(name) for name in ("number", "text", "boolean", "date", "other"))


def image(height: int, width: int, channels: int) -> Kind:
    """The kind of an image of this size."""
    return Kind("image", (height, width, channels))


def override(kinds: Mapping[str, Kind], wanted: Mapping[str, Kind | str], file: str = "") -> dict[str, Kind]:
    """The kinds with some of them replaced; raises TableError for an unknown column or kind."""
    for column, kind in wanted.items():
        if column not in kinds:
            raise TableError(f"no column {shown(column)}{near(column, kinds)}", file=file)
        name = kind.name if isinstance(kind, Kind) else str(kind)
        if name not in NAMES:
            raise TableError(f"unknown kind {shown(name)}: use one of {', '.join(NAMES)}", column=column)
    return {column: _chosen(wanted.get(column, kind), kind) for column, kind in kinds.items()}


def _chosen(wanted: Kind | str, found: Kind) -> Kind:
    if isinstance(wanted, Kind):
        return wanted
    return found if wanted == found.name else Kind(wanted)


def of_type(type_: pa.DataType) -> Kind:
    """The kind of an Arrow type by the type alone; `other` for images, whose bytes have to be inspected."""
    from pyarrow import types as is_

    if is_.is_dictionary(type_):
        return of_type(type_.value_type)
    if is_.is_boolean(type_):
        return BOOLEAN
    if is_.is_integer(type_) or is_.is_floating(type_) or is_.is_decimal(type_) or is_.is_duration(type_):
        return NUMBER
    if is_.is_null(type_):
        return NUMBER
    if is_.is_date(type_) or is_.is_timestamp(type_) or is_.is_time(type_):
        return DATE
    if is_.is_string(type_) or is_.is_large_string(type_) or is_.is_string_view(type_):
        return TEXT
    return OTHER


def stated(field: pa.Field) -> Kind | None:
    """The kind stored in the field's metadata by a Table's batches; None if there is none that fits."""
    if field.metadata is None or field.metadata.get(b"kind") != b"image":
        return None
    try:
        height, width, channels = map(int, json.loads(field.metadata.get(b"shape", b"")))
    except (ValueError, TypeError):
        return None
    kind = image(height, width, channels)
    return kind if min(kind.shape) > 0 and field.type.equals(kind.type) else None
