"""Split the rows first, then fit preprocessing and feature selection to the training part alone."""

from __future__ import annotations

import ast
import re
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, not_by_replay, statement_at
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice

WHY = "the recorded batches hold the copies"


class SplitFirst(Treatment, frozen=True):
    """`rows = f(raw)` at `made` and `train, test = split(rows)` at `split` swap places; f is applied to `train`
    only."""

    name: ClassVar[str] = "split-first"
    trust: ClassVar[Trust] = "likely"
    made: Site
    split: Site

    def summary(self) -> str:
        return f"split the rows before line {self.made.line}, and apply that line to the training part alone"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, WHY)

    def edit(self, sources: Sources) -> Sources:
        made, split = statement_at(sources, self.made), statement_at(sources, self.split)
        rows, raw = _names(made)
        halves = _names_of_targets(split)
        call = split.node.value if isinstance(split.node, ast.Assign) else None
        divided = [ast.unparse(a) for a in call.args] if isinstance(call, ast.Call) else []
        if divided[: len(rows)] != rows or len(halves) != 2 * len(divided) or made.file != split.file:
            raise CannotEdit(f"{made.file}: the split does not read the result of {made.code.splitlines()[0]}")
        trains = halves[0::2][: len(rows)]
        gone = [] if _read_elsewhere(made, split, rows, raw) else [made.removed()]
        again = f"{', '.join(trains)} = {_renamed(_value(made), dict(zip(raw, trains, strict=True)))}"
        return sources.spliced(*gone, *_reread(split, dict(zip(rows, raw, strict=True))), split.followed(again))


class ChooseByTraining(Treatment, frozen=True):
    """The call at `site` gets `rows[part]` instead of all rows, and likewise for its other arguments."""

    name: ClassVar[str] = "choose-by-training"
    trust: ClassVar[Trust] = "likely"
    site: Site
    part: str

    def summary(self) -> str:
        return f"select features on the training rows, [{self.part}], alone"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "the recorded features were selected on all rows")

    def edit(self, sources: Sources) -> Sources:
        call = expression_at(sources, self.site)
        names = [a for a in call.node.args if isinstance(a, ast.Name)] if isinstance(call.node, ast.Call) else []
        if not names:
            raise CannotEdit(f"{call.file}: {call.code} is not a call on plain names")
        return sources.spliced(*(s for name in names for s in call.of(name).wrapped("", f"[{self.part}]")))


class LoadTestSet(Treatment, frozen=True):
    """The data set read at `site` is replaced by `kept`, the held-out one."""

    name: ClassVar[str] = "load-test-set"
    trust: ClassVar[Trust] = "likely"
    site: Site
    kept: str

    def summary(self) -> str:
        return f"evaluate on {self.kept}"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "it changes the evaluation, not the training")

    def edit(self, sources: Sources) -> Sources:
        return sources.spliced(expression_at(sources, self.site).instead(self.kept))


def _names(made: Place) -> tuple[list[str], list[str]]:
    """The targets and the arguments of `a, b = f(c, d)`, with as many names on either side."""
    rows, value = _names_of_targets(made), made.node.value if isinstance(made.node, ast.Assign) else None
    raw = [ast.unparse(a) for a in value.args] if isinstance(value, ast.Call) else []
    if not rows or not raw or not all(name.isidentifier() for name in raw):
        raise CannotEdit(f"{made.file}, line {getattr(made.node, 'lineno', 0)}: not a call on plain names")
    return rows, raw[: len(rows)]


def _names_of_targets(place: Place) -> list[str]:
    targets = place.node.targets if isinstance(place.node, ast.Assign) and len(place.node.targets) == 1 else []
    names = targets[0].elts if targets and isinstance(targets[0], ast.Tuple | ast.List) else targets
    return [ast.unparse(n) for n in names]


def _value(made: Place) -> str:
    return made.of(made.node.value).code if isinstance(made.node, ast.Assign) else ""


def _renamed(code: str, names: dict[str, str]) -> str:
    """The text of an expression with its names replaced."""

    def swap(found: re.Match[str]) -> str:
        return names.get(found.group(), found.group())

    return re.sub(r"(?<![\w.\"'])[A-Za-z_]\w*(?![\w\"'])(?!\s*=[^=])", swap, code)


def _read_elsewhere(made: Place, split: Place, rows: list[str], raw: list[str]) -> bool:
    """Whether the rows are read elsewhere than in the split, so that they must still be made."""
    named = [n for n in made.page.all(ast.Name) if n.id in set(rows) - set(raw) and isinstance(n.ctx, ast.Load)]
    return any(split.node not in made.page.above(n) for n in named)


def _reread(split: Place, names: dict[str, str]) -> list[Splice]:
    """The split reads the raw rows instead of the made ones."""
    value = split.node.value if isinstance(split.node, ast.Assign) else split.node
    read = [n for n in ast.walk(value) if isinstance(n, ast.Name) and n.id in names]
    return [split.of(n).instead(names[n.id]) for n in read if names[n.id] != n.id]
