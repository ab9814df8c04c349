"""Rename the entries of a state before it is loaded."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import not_by_replay
from unstuck.remedies._moves import CannotEdit, argument, the_call
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Place, Sources


class RenameEntries(Treatment, frozen=True):
    """In what the `load_state_dict()` at `site` is given, names that begin with `old` begin with `new`."""

    name: ClassVar[str] = "rename-entries"
    trust: ClassVar[Trust] = "likely"
    site: Site
    old: str
    new: str

    def summary(self) -> str:
        given = f"{self.old!r} to {self.new!r}" if self.old else f"by putting {self.new!r} in front"
        return f"rename the entries that are loaded, {given}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "it changes what is loaded, which is not on the tape")

    def edit(self, sources: Sources) -> Sources:
        call = the_call(sources, self.site, _loads)
        state = argument(call, 0, "state_dict")
        if state is None:
            raise CannotEdit("what load_state_dict() is given was not found")
        return sources.spliced(state.instead(self._renamed(state)))

    def _renamed(self, state: Place) -> str:
        given = state.code if isinstance(state.node, ast.Name | ast.Attribute | ast.Call) else f"({state.code})"
        if not self.old:
            return f'{{f"{self.new}{{name}}": tensor for name, tensor in {given}.items()}}'
        if not self.new:
            return f'{{name.removeprefix("{self.old}"): tensor for name, tensor in {given}.items()}}'
        changed = f'"{self.new}" + name.removeprefix("{self.old}") if name.startswith("{self.old}") else name'
        return f"{{{changed}: tensor for name, tensor in {given}.items()}}"


def _loads(place: Place) -> bool:
    call = place.node
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "load_state_dict"


def renaming(pairs: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """The one change at the beginning that turns every old name into its new one; None where there is none."""
    found = {_beginnings(old, new) for old, new in pairs}
    return found.pop() if len(found) == 1 else None


def _beginnings(old: str, new: str) -> tuple[str, str]:
    """What stands before the parts that both names end with."""
    left, right = old.split("."), new.split(".")
    while left and right and left[-1] == right[-1]:
        left.pop()
        right.pop()
    return ("".join(f"{part}." for part in left), "".join(f"{part}." for part in right))
