"""Shuffle the training rows in each epoch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import node_at
from unstuck.remedies._moves import added_argument, arguments_of
from unstuck.remedies._names import needed, spelled
from unstuck.remedies._program import noted
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.scopes import Function, scopes
from unstuck.source.text import Place, Sources, Splice


class ShuffleBatches(Treatment, frozen=True):
    """The loader built at `site` gets `shuffle=True`."""

    name: ClassVar[str] = "shuffle-batches"
    trust: ClassVar[Trust] = "safe"
    site: Site

    def summary(self) -> str:
        return f"shuffle the training rows (shuffle=True in line {self.site.line})"

    def apply(self, trial: Trial) -> Trial:
        return noted(trial.with_(mixed=True), self.name)

    def edit(self, sources: Sources) -> Sources:
        call = node_at(sources, self.site, ast.Call)
        node = arguments_of(call)
        given = next(
            (k.value for k in node.keywords if k.arg == "shuffle"), node.args[2] if len(node.args) > 2 else None
        )
        return sources.spliced(
            call.of(given).instead("True") if given is not None else added_argument(call, "shuffle=True")
        )


class PermuteRows(Treatment, frozen=True):
    """Before the batch loop at `loop`, the arrays that it slices are permuted together."""

    name: ClassVar[str] = "permute-rows"
    trust: ClassVar[Trust] = "likely"
    loop: Site
    arrays: tuple[str, ...]

    def summary(self) -> str:
        return f"permute {' and '.join(self.arrays)} before each epoch"

    def apply(self, trial: Trial) -> Trial:
        return noted(trial.with_(mixed=True), self.name)

    def edit(self, sources: Sources) -> Sources:
        loop = node_at(sources, self.loop, ast.For, ast.While)
        order = f"order = {spelled(loop.page, 'torch.randperm')}(len({self.arrays[0]}))"
        permuted = f"{', '.join(self.arrays)} = {', '.join(f'{a}[order]' for a in self.arrays)}"
        rebinding = _rebinding(loop, self.arrays)
        return sources.spliced(loop.preceded(order, permuted), *rebinding, *needed(loop, "torch.randperm"))


def _rebinding(place: Place, names: tuple[str, ...]) -> Iterator[Splice]:
    """What lets the function of a place give new values to names that live outside of it: `global`, or `nonlocal`."""
    known, function = scopes(place.page), place.page.function(place.node)
    homes = {name: known.home(name, known.of(place.node)) for name in names}
    body = function.body if function is not None else []
    told = (s for kind in (ast.Global, ast.Nonlocal) for s in place.page.all(kind, function))
    said = {name for s in told if known.of(s) is function for name in s.names}
    for word, kind in (("global", ast.Module), ("nonlocal", Function)):
        outer = [n for n, home in homes.items() if home is not function and isinstance(home, kind) and n not in said]
        if body and outer:
            first = body[1] if len(body) > 1 and ast.get_docstring(function) is not None else body[0]
            yield place.of(first).preceded(f"{word} {', '.join(outer)}")


class DrawOrder(Treatment, frozen=True):
    """The row indices at `site`, `torch.arange(n)`, become a random permutation."""

    name: ClassVar[str] = "draw-order"
    trust: ClassVar[Trust] = "safe"
    site: Site

    def summary(self) -> str:
        return f"shuffle the row indices (line {self.site.line})"

    def apply(self, trial: Trial) -> Trial:
        return noted(trial.with_(mixed=True), self.name)

    def edit(self, sources: Sources) -> Sources:
        func = arguments_of(call := node_at(sources, self.site, ast.Call)).func
        drawn = {"torch": "randperm"}.get(ast.unparse(func).partition(".")[0], "random.permutation")
        return sources.spliced(call.of(func).instead(f"{ast.unparse(func).partition('.')[0]}.{drawn}"))
