"""Preprocess held-out rows like the training rows, with the statistics of the training rows."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import not_by_replay, statement_at
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources


class PrepareAlike(Treatment, frozen=True):
    """What the statement at `site` does to the training rows is done to `twin` too."""

    name: ClassVar[str] = "prepare-alike"
    trust: ClassVar[Trust] = "likely"
    site: Site
    twin: str

    def summary(self) -> str:
        return f"preprocess {self.twin} like the training rows in line {self.site.line}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "it changes the evaluation, not the training")

    def edit(self, sources: Sources) -> Sources:
        place = statement_at(sources, self.site)
        node = place.node
        if not isinstance(node, ast.Assign) or len(node.targets) != 1 or "\n" in place.code:
            raise CannotEdit(f"{place.file}: {place.code.splitlines()[0]} is not a plain assignment")
        if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
            scaler = place.of(node.value.func.value).code
            return sources.spliced(place.followed(f"{self.twin} = {scaler}.transform({self.twin})"))
        return sources.spliced(place.preceded(f"{self.twin} = {_for_twin(place, node, self.twin)}"))


def _for_twin(place: Place, node: ast.Assign, twin: str) -> str:
    """The right side for the twin: its own rows, but the statistics of the training rows (`X_train.mean()`)."""
    name = ast.unparse(node.targets[0])
    start, code = place.page.span(node.value)[0], place.of(node.value).code
    own = (n for n in place.page.all(ast.Name, node.value) if n.id == name)
    rows = [n for n in own if not isinstance(place.page.parents[n], ast.Attribute | ast.Call)]
    for found in reversed(rows):
        begin, end = (at - start for at in place.page.span(found))
        code = code[:begin] + twin + code[end:]
    return code
