"""The input columns of a model, as its file records them for `unstuck predict` and for Python."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from unstuck.tabular.fit.roles import Roles
from unstuck.tabular.tables import NUMBER, TEXT, Kind


def recorded(who: Roles) -> dict[str, Any]:
    """The columns as plain data."""
    columns = [[name, kind.name, list(kind.shape)] for name, kind in who.inputs.items()]
    return {"columns": columns, "calendar": who.calendar}


def unnamed(words: Sequence[bool], names: Sequence[str] = ()) -> dict[str, Any]:
    """The columns of an array, which are found by their place unless they have names."""
    known = list(names) or [f"column {j}" for j in range(1, len(words) + 1)]
    inputs = {name: TEXT if text else NUMBER for name, text in zip(known, words, strict=True)}
    return recorded(Roles(inputs, ())) | {"by_place": not names}


def roles_of(about: Mapping[str, Any]) -> Roles:
    """The columns that a file records. Raises KeyError, TypeError or ValueError if it records none."""
    inputs = {str(name): Kind(str(kind), tuple(map(int, shape))) for name, kind, shape in about["columns"]}
    if any(math.prod(kind.shape) < 1 for kind in inputs.values()):
        raise ValueError("an image without pixels")
    return Roles(inputs, tuple(map(str, about["targets"])), calendar=bool(about.get("calendar", False)))
