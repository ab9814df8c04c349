"""The stored data change under training: a row that comes back has other values than before.

## Why it hurts
A data set that hands out its stored rows, and a transform that works in place, change the store itself: the first
epoch sees right inputs, the second normalises what is normalised already, and after ten epochs the rows are thousands
of times as large, or all the same. The loss is good at first and then rises; the evaluation, whose rows were prepared
once, has other units than the training.

## How it is seen
Recorded input rows are known again by their form. Every row that comes back is scaled by the same factor, or moved by
the same shift, as at its visit before; random augmentation would move rows to and fro. Random changes that are written
into the store add up: the rows of the training drift away from those at first, and from those of the evaluation.

## What to do
Copy a row before it is changed: `x = x.copy()` (numpy) or `x.clone()` (torch), or write `x = x - mean` in the place of
`x -= mean`; or prepare the whole data set once, before training.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Site, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.copy_first import CopyFirst, arguments, taken, written
from unstuck.signals.drift import Drift
from unstuck.signals.revisits import Revisits
from unstuck.signals.source import Source

STAGE = Stage.DATA
NEVER_MEANT = True
WRITES = frozenset({"mul_", "div_", "sub_", "add_", "normal_", "clamp_", "copy_", "fill_"})
"""Tensor methods that write to what they are called on."""


def check(visits: Revisits | None, drift: Drift | None, source: Source) -> Iterator[Finding]:
    """Report rows that drift by one map from visit to visit, or by random changes that add up."""
    if visits is not None and visits.drifts:
        yield _by_one_map(visits, source)
    elif drift is not None and drift.drifts and drift.leaves:
        yield _adding_up(drift, source)


def _adding_up(drift: Drift, source: Source) -> Finding:
    said = (
        f"the inputs of the training drift: the {drift.name} of a row is {drift.first:.3g} at first, {drift.last:.3g} "
        f"at the end, and {drift.evaluated:.3g} in the evaluation; is a stored row changed in place at each visit?"
    )
    evidence = (
        Evidence("change over the run, in standard deviations between rows", drift.change, "near 0"),
        Evidence("rank correlation with time", drift.trend, "near 0"),
    )
    site, remedies = _site(source), _copies(source)
    return Finding("data-mutated", said, site, evidence, remedies, known="read" if remedies else "guessed")


def _by_one_map(visits: Revisits, source: Source) -> Finding:
    scaled = visits.factor != 1.0
    how = f"multiplied by {visits.factor:.3g}" if scaled else f"shifted by {visits.shift:.3g} spreads"
    said = f"the stored inputs change in place: at each visit a row is {how}; copy it before it is changed"
    what = "spread of a row at its next visit, relative" if scaled else "shift of a row at its next visit, in spreads"
    evidence = (
        Evidence(what, visits.factor if scaled else visits.shift, "1" if scaled else "0"),
        Evidence("rows that came back", float(visits.rows), "the same values at each visit"),
    )
    sure = f"all {visits.rows} rows that came back were {how} at each of up to {visits.visits} visits"
    site, copies = _site(source), _copies(source)
    return Finding("data-mutated", said, site, evidence, copies, "error", known="observed", effect=proven(sure))


def _site(source: Source) -> Site | None:
    """The last line that writes to an argument of its function, or to an entry of an array; None if there is none."""
    found = [node for node, _ in _writes(source)] or list(_entries(source))
    return source.site(found[-1]) if found else None


def _copies(source: Source) -> tuple[CopyFirst, ...]:
    """The remedy for all writes in functions that rows are handed to: those that a dataset calls, where some are."""
    writes = list(_writes(source))
    reading = [node for node, function in writes if _reads_rows(source, function)]
    sites = tuple(source.site(node) for node in (reading or [node for node, _ in writes]))
    return (CopyFirst(sites),) if sites else ()


def _reads_rows(source: Source, function: ast.FunctionDef, depth: int = 4) -> bool:
    """Whether a function is `__getitem__`, a transformation (`__call__`), or called by one of these."""
    if function.name in ("__getitem__", "__call__"):
        return True
    above = (source.page(call).function(call) for call in source.callers(function)) if depth else ()
    return any(isinstance(f, ast.FunctionDef) and _reads_rows(source, f, depth - 1) for f in above)


def _writes(source: Source) -> Iterator[tuple[ast.AST, ast.FunctionDef]]:
    """Writes into an argument of a function, or into an entry of a store that it has taken; and the function."""
    for function in (f for f in source.all(ast.FunctionDef) if f.name != "forward"):
        handed = arguments(function)
        for node in ast.walk(function):
            name = written(node, WRITES)
            if name and (name in handed or (_arithmetic(node) and taken(function, name) is not None)):
                yield node, function


def _arithmetic(node: ast.AST) -> bool:
    return isinstance(node, ast.AugAssign | ast.Call)


def _entries(source: Source) -> Iterator[ast.AST]:
    return (node for node in source.all(ast.AugAssign) if isinstance(node.target, ast.Subscript))


_SCRIPT = """
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)


def normalise(row):
    {change}
    return row


class Rows(Dataset):
    def __init__(self, count):
        self.x = 3 + 0.5 * torch.randn(count, 12)
        self.y = (self.x[:, :6].sum(1) > self.x[:, 6:].sum(1)).long()

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return normalise(self.x[i]), self.y[i]


data = Rows(300)
model = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(8):
    for x, y in DataLoader(data, batch_size=25, shuffle=True):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""
FIRES = _SCRIPT.format(change="row -= 3\n    row /= 0.5")
QUIET = _SCRIPT.format(change="row = (row - 3) / 0.5")
