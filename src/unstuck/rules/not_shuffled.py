"""Batches are not shuffled: rows arrive sorted by class.

## Why it hurts

The gradient of a batch that holds one class pushes every output towards that class. The next batches push towards the
next class, and the network forgets the one before (catastrophic forgetting). The loss looks small within each stretch,
but after an epoch the network predicts the class it saw last.

## How it is seen

Batch purity, the chance that two labels of one batch are equal, is compared with its value under random order. In
sorted batches it is far higher, also over several batches in a row. The source shows why: a training `DataLoader`
without `shuffle=True` or a sampler, or a loop over consecutive slices. An experiment measures the effect: the network
is trained on the recorded batches and on the same rows in random order, and both are evaluated on all rows.

## What to do

Use `DataLoader(..., shuffle=True)`; in a loop over slices, draw a new `torch.randperm` every epoch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Remedy
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.shuffle_batches import DrawOrder, PermuteRows, ShuffleBatches
from unstuck.remedies.treatment import Treatment
from unstuck.signals.order import Order
from unstuck.signals.source import Loop
from unstuck.signals.totals import Totals, iterated

FAULT = "not-shuffled"
STAGE = Stage.SAMPLING
SORTED = 0.5
"""On a scale from 0 (random order) to 1 (one class per batch). Under random order the mean over n windows of 16 labels
has a standard deviation below 0.1 / sqrt(n)."""
COUNTS = {"torch.arange", "np.arange", "numpy.arange"}
PIECES = {"split", "chunk"}


def check(order: Order, totals: Totals | None) -> Iterator[Finding]:
    """Report sorted batches, with the loader or loop that leaves them in order."""
    one = order.classes == 1 and order.expected > 1
    if order.sorted < SORTED and not one:
        return
    blocks = not one and order.blocks >= SORTED
    found = [] if totals is None else places(totals)
    if not found and not blocks:
        return
    said = "training batches are sorted by class and not shuffled"
    if one:
        said = f"all {order.labels} labels seen so far are of one class: rows are sorted by class and not shuffled"
    purity = Evidence(
        "batch purity (0 random order, 1 one class per batch)", 1.0 if one else round(order.sorted, 3), "near 0"
    )
    site = totals.source.site(found[0][0]) if totals is not None and found else None
    yield Finding(
        FAULT,
        said,
        site,
        (purity,),
        tuple(remedy for _, remedy in found[:1]),
        "error",
        known="observed",
        settles=("mixed",) if blocks else (),
    )


def places(totals: Totals) -> list[tuple[ast.AST, Remedy]]:
    """Where the text leaves training rows in their order, each with its remedy."""
    return [*_loaders(totals), *_slices(totals), *_walks(totals)]


def _loaders(totals: Totals) -> Iterator[tuple[ast.Call, ShuffleBatches]]:
    """Training loaders built without shuffle=True and without a sampler."""
    for loop in totals.training.batch_loops:
        over = iterated(loop)
        for call in totals.loaders(over) if over is not None else ():
            given = {k.arg: k.value for k in call.keywords}
            shuffled = given.get("shuffle", call.args[2] if len(call.args) > 2 else None)
            free = shuffled is None or (isinstance(shuffled, ast.Constant) and shuffled.value is False)
            if free and not {"sampler", "batch_sampler", None} & set(given):
                yield call, ShuffleBatches(totals.source.site(call))


def _slices(totals: Totals) -> Iterator[tuple[ast.AST, PermuteRows]]:
    """Training loops `for i in range(0, n, size)` over consecutive slices `x[i : i + size]`."""
    for loop in _row_loops(totals):
        names = _cut(totals, loop)
        if names and not any(_permuted(totals, loop, name) for name in names):
            yield loop, PermuteRows(totals.source.site(loop), tuple(names))


def _row_loops(totals: Totals) -> Iterator[Loop]:
    """Training loops, and the loops inside generator functions that they iterate over."""
    for loop in totals.training.batch_loops:
        yield loop
        over = iterated(loop)
        for function in totals.source.called(over) if isinstance(over, ast.Call) else ():
            inner = totals.source.all(ast.For, function)
            yield from (f for f in inner if any(True for _ in totals.source.all(ast.Yield, f)))


def _walks(totals: Totals) -> Iterator[tuple[ast.AST, Treatment]]:
    """Training loops over indices in order, or over chunks of the rows: `torch.arange(n).split(8)`."""
    for loop in totals.training.batch_loops:
        over = iterated(loop)
        calls = [over, *totals.training.origins(over)] if over is not None else []
        parts = [n for c in calls for n in ast.walk(c) if isinstance(n, ast.Call)]
        counts = [c for c in parts if ast.unparse(c.func) in COUNTS and len(c.args) == 1]
        pieces = [c.func.value for c in parts if isinstance(c.func, ast.Attribute) and c.func.attr in PIECES]
        names = tuple(dict.fromkeys(p.id for p in pieces if isinstance(p, ast.Name)))
        if counts:
            yield loop, DrawOrder(totals.source.site(counts[0]))
        elif names and not any(_permuted(totals, loop, name) for name in names):
            yield loop, PermuteRows(totals.source.site(loop), names)


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
    """Whether a name holds a permutation, or rows indexed by one."""
    node = next(n for n in totals.source.all(ast.Name, loop) if n.id == name)
    values = [*totals.source.values(node), *totals.training.origins(node)]
    words = " ".join(ast.unparse(v) for v in values)
    return any(w in words for w in ("perm", "shuffle", "sample", "rand", "idx", "index", "order"))


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
