"""Skip the last batch of an epoch if it is a single row."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Trust
from unstuck.remedies._at import at_start_of, not_by_replay
from unstuck.remedies._loop import backwards
from unstuck.remedies._moves import argument, gathered, set_argument
from unstuck.remedies._names import full_name
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Place, Sources, Splice


class DropLast(Treatment, frozen=True):
    """`drop_last=True` for every loader that shuffles (the training loader); without one, the loop skips batches of one
    row."""

    name: ClassVar[str] = "drop-last"
    trust: ClassVar[Trust] = "safe"

    def summary(self) -> str:
        return "drop the last, incomplete batch of each epoch"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "it changes the batches, which are recorded as they were")

    def edit(self, sources: Sources) -> Sources:
        splices = list(_loaders(sources)) or list(_loops(sources))
        return gathered(sources, splices, "neither a DataLoader that shuffles nor a loop over batches was found")


def _loaders(sources: Sources) -> Iterator[Splice]:
    for whole in sources.pages():
        for node in whole.page.all(ast.Call):
            call = whole.of(node)
            if full_name(whole.page, node.func).rpartition(".")[2] == "DataLoader" and _shuffles(call):
                yield set_argument(sources, call, 8, "drop_last", "True")


def _shuffles(call: Place) -> bool:
    given = argument(call, 2, "shuffle")
    return given is not None and given.code != "False"


def _loops(sources: Sources) -> Iterator[Splice]:
    """`continue` for batches of one row, in the innermost loop around each backward."""
    for call in backwards(sources):
        loop = call.page.around(call.node, ast.For)
        if loop is None:
            continue
        if (name := _batch(loop)) is not None:
            yield at_start_of(call.of(loop), *_guard(name))
        elif (cut := _slice(loop)) is not None:
            yield call.of(cut).followed(*_guard(ast.unparse(_firsts(cut)[0])))


def _guard(name: str) -> tuple[str, str]:
    return f"if len({name}) < 2:  # a single row has no spread to normalise by", "    continue"


def _batch(loop: ast.For) -> str | None:
    """The name of the batch (or of its row indices) in a loop over batches."""
    target, made = loop.target, loop.iter.func if isinstance(loop.iter, ast.Call) else None
    kind = made.id if isinstance(made, ast.Name) else ""
    if kind == "range":
        return None
    if kind == "enumerate" and isinstance(target, ast.Tuple):
        target = target.elts[-1]
    if isinstance(target, ast.Tuple | ast.List):
        target = target.elts[0]
    return target.id if isinstance(target, ast.Name) else None


def _slice(loop: ast.For) -> ast.Assign | None:
    """The statement that slices a batch by the loop variable: `xb = x[i : i + 32]`."""
    numbers = {n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
    for statement in loop.body:
        if isinstance(statement, ast.Assign) and _cuts(statement.value, numbers) and _firsts(statement):
            return statement
    return None


def _cuts(value: ast.expr, numbers: set[str]) -> bool:
    slices = (n.slice for n in ast.walk(value) if isinstance(n, ast.Subscript) and isinstance(n.slice, ast.Slice))
    return any(n.id in numbers for s in slices for n in ast.walk(s) if isinstance(n, ast.Name))


def _firsts(statement: ast.Assign) -> list[ast.Name]:
    """The names that an assignment binds."""
    return [n for n in ast.walk(statement.targets[0]) if isinstance(n, ast.Name)]
