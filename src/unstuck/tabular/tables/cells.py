"""Columns of Python values, as spreadsheets, databases and JSON hold them, as Arrow columns."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

NUMBERS = (int, float, Decimal)


def column(values: Sequence[Any]) -> pa.Array:
    """A column of the type that all values share; text if they differ, so that text is what remains to be read."""
    types = {type(value) for value in values if value is not None}
    if types <= {bool}:
        return pa.array(values, pa.bool_() if types else pa.null())
    if types <= {int, float, Decimal} and not _long(values):
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    if types <= {datetime.datetime, datetime.date}:
        return pa.array([_moment(v) for v in values], pa.timestamp("us"))
    if types <= {datetime.time}:
        return pa.array(values, pa.time64("us"))
    if types <= {datetime.timedelta}:
        return pa.array(values, pa.duration("us"))
    return pa.array([None if v is None else text(v) for v in values], pa.string())


def _long(values: Iterable[Any]) -> bool:
    return any(isinstance(v, int) and abs(v) > 2**53 for v in values)


def _moment(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).replace(tzinfo=None) if value.tzinfo else value
    return value if value is None else datetime.datetime(value.year, value.month, value.day)


def text(value: Any) -> str:
    """A value as a person would write it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value) and value == int(value) and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
