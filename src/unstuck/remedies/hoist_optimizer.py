"""Build the network and its optimizer once, in front of the loop."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis import Site, Trust
from unstuck.remedies._at import node_at, not_by_replay, statement_at
from unstuck.remedy import CannotEdit, Treatment, Trial
from unstuck.source import Place, Sources


class HoistOptimizer(Treatment, frozen=True):
    """The statements at `sites` move in front of the loop at `loop`."""

    name: ClassVar[str] = "hoist-optimizer"
    trust: ClassVar[Trust] = "likely"
    sites: tuple[Site, ...]
    loop: Site

    def summary(self) -> str:
        return f"build the network and its optimizer once, in front of the loop in line {self.loop.line}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "a replay keeps its optimizer from the first step to the last")

    def edit(self, sources: Sources) -> Sources:
        loop = node_at(sources, self.loop, ast.For, ast.While)
        places = [_checked(statement_at(sources, site), loop) for site in self.sites]
        lines = tuple(line for place in places for line in _lines(place))
        return sources.spliced(loop.preceded(*lines), *(place.removed() for place in places))


def _checked(place: Place, loop: Place) -> Place:
    """A statement of the loop's own body that needs nothing the loop makes, the other moved statements aside."""
    if place.file != loop.file or place.node not in getattr(loop.node, "body", []):
        raise CannotEdit(f"{place.file}, line {getattr(place.node, 'lineno', 0)}: not a statement of the loop itself")
    target = ast.walk(loop.node.target) if isinstance(loop.node, ast.For) else ()
    made = {n.id for n in target if isinstance(n, ast.Name)}
    read = {n.id for n in ast.walk(place.node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    if made & read:
        raise CannotEdit(
            f"{place.file}: {place.code.splitlines()[0]} depends on the loop's {', '.join(sorted(made & read))}"
        )
    return place


def _lines(place: Place) -> list[str]:
    """A statement's lines without their indentation, so that they can be set at another."""
    indent = place.indent
    if indent is None:
        raise CannotEdit(f"{place.file}: other code stands on the line of {place.code.splitlines()[0]}")
    return [line.removeprefix(indent) for line in place.code.splitlines()]
