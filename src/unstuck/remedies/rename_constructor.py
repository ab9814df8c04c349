"""Give a constructor the name by which Python calls it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import node_at, not_by_replay
from unstuck.remedies._moves import gathered
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Place, Sources, Splice


class RenameConstructor(Treatment, frozen=True):
    """The method `wrong`, defined at `site`, becomes `__init__`, and so do its calls of the same name."""

    name: ClassVar[str] = "rename-constructor"
    trust: ClassVar[Trust] = "safe"

    site: Site
    wrong: str

    def summary(self) -> str:
        return f"rename {self.wrong} to __init__"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "the layers were never created")

    def edit(self, sources: Sources) -> Sources:
        method = node_at(sources, self.site, ast.FunctionDef)
        return gathered(sources, self._splices(method), f"{self.wrong} was not found")

    def _splices(self, method: Place) -> Iterator[Splice]:
        start, _ = method.page.span(method.node)
        found = re.compile(rf"def\s+({re.escape(self.wrong)})\b").search(method.page.text, start)
        if found is not None:
            yield Splice(method.file, *found.span(1), "__init__")
        for node in method.page.all(ast.Attribute, method.node):
            if node.attr == self.wrong:
                end = method.page.span(node)[1]
                yield Splice(method.file, end - len(self.wrong), end, "__init__")
