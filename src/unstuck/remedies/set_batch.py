"""Use batches of more than one row."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Trust
from unstuck.remedies._at import not_by_replay
from unstuck.remedies._made import is_open, recorded
from unstuck.remedies._moves import added_argument, argument, gathered
from unstuck.remedies._names import full_name
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.origins import origins
from unstuck.source.text import Change, Place, Sources


class SetBatch(Treatment, frozen=True):
    """`rows` per batch for every loader, split or range of the text that takes one row at a time."""

    name: ClassVar[str] = "set-batch"
    trust: ClassVar[Trust] = "likely"

    rows: int = 32

    def summary(self) -> str:
        return f"use batches of {self.rows} rows"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "it changes the batches, which are recorded as they were")

    def edit(self, sources: Sources) -> Sources:
        return gathered(
            sources, dict.fromkeys(self._splices(sources)), "nothing that takes one row at a time was found"
        )

    def _splices(self, sources: Sources) -> Iterator[Change]:
        for whole in sources.pages():
            for node in whole.page.all(ast.Call):
                call = whole.of(node)
                size, keyword = _size(call)
                if keyword == "batch_size" and size is None and not is_open(call):
                    yield added_argument(call, f"{keyword}={self.rows}")
                elif size is not None and (made := origins(sources, size, keyword, recorded(1.0), exact=False)):
                    yield made[0].instead(self.rows)


def _size(call: Place) -> tuple[Place | None, str]:
    """The batch size of a loader, a split or the step of a range, and the name of its argument ("" if it is none of
    these)."""
    node = call.node
    assert isinstance(node, ast.Call)
    name = full_name(call.page, node.func)
    if name.rpartition(".")[2] == "DataLoader":
        return argument(call, 1, "batch_size"), "batch_size"
    if isinstance(node.func, ast.Attribute) and node.func.attr == "split":
        return argument(call, 1 if name == "torch.split" else 0, "split_size"), "split_size"
    if isinstance(node.func, ast.Name) and node.func.id == "range" and len(node.args) == 3 and _trains(call):
        return call.of(node.args[2]), "step"
    return None, ""


def _trains(call: Place) -> bool:
    """Whether a range is that of a loop with a backward in its own body."""
    loop = call.page.parents.get(call.node)
    goes = (n for n in ast.walk(loop) if isinstance(n, ast.Attribute) and n.attr == "backward") if loop else ()
    return isinstance(loop, ast.For) and any(call.page.around(n, ast.For) is loop for n in goes)
