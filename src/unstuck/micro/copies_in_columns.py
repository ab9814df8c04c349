"""A target that is a column of a table, in another unit or coding."""

from __future__ import annotations

import torch
from torch import Tensor

from unstuck.micro.copies import Copied
from unstuck.signals.task import Task
from unstuck.tape.model import Pass, Tape

LINE = 1e-4
"""Share of a target's variance that a straight line through one column may leave: rounding of a unit's conversion."""
ROWS = 50
"""Rows: of fewer, a column fits by chance."""


def in_columns(tape: Tape, task: Task, passes: list[Pass]) -> Copied | None:
    """A column of a table that is the target in another unit or coding."""
    wanted = [task.wanted(lambda s, p=p: tape.tensors[p.outside[s]]) for p in passes]
    if any(t.numel() != t.shape[0] for t in wanted if t.dim()) or not all(t.dim() for t in wanted):
        return None
    target = torch.cat([t.reshape(-1) for t in wanted]).double()
    for slot in range(len(passes[0].outside)):
        tables = [tape.tensors[p.outside[slot]] for p in passes]
        fits = all(t.dim() == 2 and t.shape[1] > 1 and len(t) == w.numel() for t, w in zip(tables, wanted, strict=True))
        if slot in task.slots or not fits or len(target) < ROWS or len({t.shape[1] for t in tables}) > 1:
            continue
        table = torch.cat(tables).double()
        column = _line(table, target) if task.kind == "regression" else _coding(table, target)
        if column is not None:
            return Copied("column", slot, 1.0, column=column)
    return None


def _line(table: Tensor, target: Tensor) -> int | None:
    """The column of which the target is a straight line."""
    known = torch.isfinite(target)
    x, y = table[known] - table[known].mean(0), target[known] - target[known].mean()
    if len(y) < ROWS or not float(y.square().sum()) > 0:
        return None
    correlation = (x * y[:, None]).sum(0) / (x.square().sum(0) * y.square().sum()).sqrt()
    best = int(correlation.nan_to_num(0.0).square().argmax())
    return best if float(correlation[best].square()) >= 1 - LINE else None


def _coding(table: Tensor, target: Tensor) -> int | None:
    """The column whose values are the classes under other names."""
    classes = target.unique()
    for column in range(table.shape[1]):
        values, place = table[:, column].unique(return_inverse=True)
        if len(values) != len(classes) or len(classes) < 2:
            continue
        pairs = torch.stack([place.double(), target], 1).unique(dim=0)
        if len(pairs) == len(classes) and len(target) >= ROWS:
            return column
    return None
