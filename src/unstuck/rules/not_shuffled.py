"""The batches arrive sorted by class.

## Why it hurts

A batch of one class asks for one thing only: always say this class. The next stretch of batches asks for the next
class, and the network forgets the one before. The loss may look small within each stretch; at the end of an epoch the
network answers with the last class it saw, whatever it is shown.

## How it is seen

The labels on the tape are compared with a random order: two labels of one batch agree far more often than two labels of
the whole run. The text says why: the training loader is built without `shuffle=True` and without a sampler, or the loop
cuts slices in order from rows that were never permuted. Both are needed for a finding; and an order within one batch
that holds everything does not matter.

## What to do

`DataLoader(..., shuffle=True)`; in a loop over slices, `torch.randperm` in front of every epoch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis import Evidence, Finding
from unstuck.remedies.shuffle_batches import PermuteRows, ShuffleBatches
from unstuck.signals.order import Order
from unstuck.signals.source import Loop
from unstuck.signals.totals import Totals, iterated

FAULT = "not-shuffled"
SORTED = 0.5
"""From this share of the way between a random draw and pure batches on, the order is not chance."""
ORDERED = {"shuffle", "sampler", "batch_sampler"}


def check(order: Order, totals: Totals) -> Iterator[Finding]:
    """A sorted order on the tape, and the place in the text that leaves it so."""
    one = order.classes == 1 and order.expected > 1
    if order.sorted < SORTED and not one:
        return
    for node, remedy in (*_loaders(totals), *_slices(totals)):
        site = totals.source.site(node)
        if one:
            said = (
                f"all {order.labels} labels seen so far are of one class: the rows come in order, and are not shuffled"
            )
        else:
            said = "the training rows come sorted by class and are not shuffled"
        evidence = Evidence(
            "how sorted the batches are (0 mixed, 1 pure)", round(1.0 if one else order.sorted, 3), "near 0"
        )
        yield Finding(FAULT, said, site, (evidence,), (remedy,), "error")
        return


def _loaders(totals: Totals) -> Iterator[tuple[ast.Call, ShuffleBatches]]:
    """The constructions of loaders that training loops go over in the order of the rows."""
    for loop in totals.training.batch_loops:
        over = iterated(loop)
        for call in totals.loaders(over) if over is not None else ():
            given = {k.arg: k.value for k in call.keywords}
            shuffled = given.get("shuffle", call.args[2] if len(call.args) > 2 else None)
            free = shuffled is None or (isinstance(shuffled, ast.Constant) and shuffled.value is False)
            if free and not {"sampler", "batch_sampler", None} & set(given):
                yield call, ShuffleBatches(totals.source.site(call))


def _slices(totals: Totals) -> Iterator[tuple[ast.AST, PermuteRows]]:
    """Training loops `for i in range(0, n, size)` that cut `x[i : i + size]`."""
    for loop in totals.training.batch_loops:
        names = _cut(totals, loop)
        if names and not any(_permuted(totals, loop, name) for name in names):
            yield loop, PermuteRows(totals.source.site(loop), tuple(names))


def _cut(totals: Totals, loop: Loop) -> list[str]:
    target = loop.target.id if isinstance(loop, ast.For) and isinstance(loop.target, ast.Name) else ""
    ranged = isinstance(loop, ast.For) and isinstance(loop.iter, ast.Call) and ast.unparse(loop.iter.func) == "range"
    cuts = (
        n
        for n in totals.source.all(ast.Subscript, loop)
        if isinstance(n.slice, ast.Slice) and n.slice.lower is not None
    )
    starts = (n for n in cuts if any(isinstance(p, ast.Name) and p.id == target for p in ast.walk(n.slice)))
    return sorted({n.value.id for n in starts if isinstance(n.value, ast.Name)}) if target and ranged else []


def _permuted(totals: Totals, loop: Loop, name: str) -> bool:
    """Whether a name holds a permutation, or rows taken by one."""
    node = next(n for n in totals.source.all(ast.Name, loop) if n.id == name)
    values = [*totals.source.values(node), *totals.training.origins(node)]
    words = " ".join(ast.unparse(v) for v in values)
    return any(w in words for w in ("perm", "shuffle", "sample", "rand", "idx", "index", "order", "["))


_SCRIPT = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
centres = torch.randn(5, 8) * 1.5
y = torch.arange(5).repeat_interleave(160)
x = centres[y] + torch.randn(800, 8)
loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle={shuffle})
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 5))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

for epoch in range(5):
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(xb), yb)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        print(epoch, loss.item(), (model(x).argmax(1) == y).float().mean().item())
"""

FIRES = _SCRIPT.format(shuffle="False")
QUIET = _SCRIPT.format(shuffle="True")
