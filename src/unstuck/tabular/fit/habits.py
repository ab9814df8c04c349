"""How the training table was written, so that tables to predict are read alike where they leave it open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unstuck.tabular.tables import Table
from unstuck.tabular.tables.notation import Amounts, Notation, plain, restored


@dataclass(frozen=True)
class Habits:
    """`decimal`: the mark where a table leaves it open; `missing`: words for a missing value."""

    notations: Mapping[str, Notation] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    decimal: str = "."

    def plain(self) -> dict[str, Any]:
        """As plain data, for a model's file."""
        known = {name: plain(one) for name, one in self.notations.items()}
        return {"notations": known, "missing": list(self.missing)}


def of_table(table: Table) -> Habits:
    """The habits of a table."""
    known = {name: one for name, one in table.notations.items() if name in table.columns}
    return Habits(known, table.missing)


def habits_of(about: Mapping[str, Any]) -> Habits:
    """The habits in a model's metadata; the usual ones if it has none. Raises ValueError for other data."""
    data = about.get("habits", {})
    notations = {str(name): restored(one) for name, one in data.get("notations", {}).items()}
    marks = {one.decimal for one in notations.values() if isinstance(one, Amounts)}
    decimal = "," if marks == {","} else "."
    return Habits(notations, tuple(map(str, data.get("missing", ()))), decimal)
