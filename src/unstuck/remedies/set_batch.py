"""Use batches of more than one row."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Trust
from unstuck.remedies._at import not_by_replay
from unstuck.remedies._meaning import meant
from unstuck.remedies._moves import argument, gathered, set_argument
from unstuck.remedies._names import full_name
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Place, Sources, Splice


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
        found = {(s.file, s.start): s for s in self._splices(sources)}
        return gathered(sources, found.values(), "nothing that takes one row at a time was found")

    def _splices(self, sources: Sources) -> Iterator[Splice]:
        for whole in sources.pages():
            for node in whole.page.all(ast.Call):
                call = whole.of(node)
                size, keyword = _size(call)
                if keyword == "batch_size" and (size is None or _is_one(sources, size)):
                    yield set_argument(sources, call, 1, keyword, str(self.rows))
                elif size is not None and (one := _one(sources, size)) is not None:
                    yield one.instead(str(self.rows))


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


def _one(sources: Sources, size: Place) -> Place | None:
    """The literal 1 that a size is read from."""
    return next((v for v in meant(sources, size) if isinstance(v.node, ast.Constant) and v.node.value == 1), None)


def _is_one(sources: Sources, size: Place) -> bool:
    return _one(sources, size) is not None
