"""What a column holds, as far as learning from it is concerned."""

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
    """A column's kind, and what its values are delivered as.

    - `number`: float64; missing (null) where the data has nothing, NaN or a word such as NA. A duration is in days.
    - `boolean`: float64, 0 or 1.
    - `date`: float64, days since 1970-01-01 (UTC where the data knows its zone); the time of day is the fraction. Days,
      because their size and spread are those of everyday numbers and a microsecond is still told apart.
    - `text`: string; an empty text is missing.
    - `image`: a fixed-size list of uint8 in the order (height, width, channel), whose `shape` stands in the field's
      metadata as a JSON list.
    - `other`: what nothing can be learned from as it is (lists, structures); it is named and refuses to be read.
    """

    name: str
    shape: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {'x'.join(map(str, self.shape))}" if self.shape else self.name

    @property
    def type(self) -> pa.DataType:
        """The Arrow type its values are delivered as."""
        import pyarrow as pa

        if self.name == "image":
            return pa.list_(pa.uint8(), math.prod(self.shape))
        return pa.string() if self.name == "text" else pa.float64()

    @property
    def metadata(self) -> dict[str, str]:
        """What the field of a batch says beside its type."""
        return {"kind": self.name} | ({"shape": json.dumps(self.shape)} if self.shape else {})


NUMBER, TEXT, BOOLEAN, DATE, OTHER = (Kind(name) for name in ("number", "text", "boolean", "date", "other"))


def image(height: int, width: int, channels: int) -> Kind:
    """The kind of a picture of this size."""
    return Kind("image", (height, width, channels))


def override(kinds: Mapping[str, Kind], wanted: Mapping[str, Kind | str], file: str = "") -> dict[str, Kind]:
    """The kinds with some of them named otherwise; raises TableError for a column or a kind that is not known."""
    for column, kind in wanted.items():
        if column not in kinds:
            raise TableError(f"there is no column {shown(column)}{near(column, kinds)}", file=file)
        name = kind.name if isinstance(kind, Kind) else str(kind)
        if name not in NAMES:
            raise TableError(f"no kind is called {shown(name)}: it is one of {', '.join(NAMES)}", column=column)
    return {column: _chosen(wanted.get(column, kind), kind) for column, kind in kinds.items()}


def _chosen(wanted: Kind | str, found: Kind) -> Kind:
    if isinstance(wanted, Kind):
        return wanted
    return found if wanted == found.name else Kind(wanted)


def of_type(type_: pa.DataType) -> Kind:
    """The kind of an Arrow type, as far as the type alone says it (pictures need a look inside: `other`)."""
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
    """The kind that the field's own metadata states, as batches of a Table do; None where it states none that fits."""
    if field.metadata is None or field.metadata.get(b"kind") != b"image":
        return None
    try:
        height, width, channels = map(int, json.loads(field.metadata.get(b"shape", b"")))
    except (ValueError, TypeError):
        return None
    kind = image(height, width, channels)
    return kind if min(kind.shape) > 0 and field.type.equals(kind.type) else None
