"""Leave out the last batch where it would be a single row."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis import Trust
from unstuck.remedies._at import not_by_replay
from unstuck.remedies._moves import argument, gathered, set_argument
from unstuck.remedies._names import full_name
from unstuck.remedy import Treatment, Trial
from unstuck.source import Place, Sources, Splice


class DropLast(Treatment, frozen=True):
    """`drop_last=True` for every loader that shuffles: the one that trains."""

    name: ClassVar[str] = "drop-last"
    trust: ClassVar[Trust] = "safe"

    def summary(self) -> str:
        return "leave out the last, incomplete batch of each epoch"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "the recorded batches are what they are; only the patched script shows it")

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, _splices(sources), "no DataLoader that shuffles was found in the text")


def _splices(sources: Sources) -> Iterator[Splice]:
    for whole in sources.pages():
        for node in whole.page.all(ast.Call):
            call = whole.of(node)
            if full_name(whole.page, node.func).rpartition(".")[2] == "DataLoader" and _shuffles(call):
                yield set_argument(sources, call, 8, "drop_last", "True")


def _shuffles(call: Place) -> bool:
    given = argument(call, 2, "shuffle")
    return given is not None and given.code != "False"
