"""The batches arrive sorted by class.

## Why it hurts

A batch of one class asks for one thing only: always say this class. The next stretch of batches asks for the next
class, and the network forgets the one before. The loss may look small within each stretch; at the end of an epoch the
network answers with the last class it saw, whatever it is shown.

## How it is seen

The labels on the tape are compared with a random order: two labels of one batch agree far more often than two labels of
the whole run, and so do those of several batches in a row. Then the network as written is trained twice by replay, on
the batches as they came and on the same rows in random order, and asked about rows from everywhere: that settles it.
Where it cannot be replayed the text must say why: a training loader without `shuffle=True` and without a sampler, or a
loop that goes over the rows in order.

## What to do

`DataLoader(..., shuffle=True)`; in a loop over slices, `torch.randperm` in front of every epoch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable
from unstuck.remedies.shuffle_batches import DrawOrder, PermuteRows, ShuffleBatches
from unstuck.remedies.treatment import Treatment
from unstuck.replay.mixed import Mixed
from unstuck.signals.order import Order
from unstuck.signals.source import Loop
from unstuck.signals.totals import Totals, iterated
from unstuck.tape.model import Tape

FAULT = "not-shuffled"
SORTED = 0.5
"""From this share of the way between a random draw and pure batches on, the order is not chance."""
GAIN = 0.15
"""Skill on rows from everywhere that a random order must add."""
COUNTS = {"torch.arange", "np.arange", "numpy.arange"}
PIECES = {"split", "chunk"}


def check(order: Order, tape: Tape, totals: Totals | None) -> Iterator[Finding]:
    """A sorted order on the tape, an experiment, and the place in the text that leaves it so."""
    one = order.classes == 1 and order.expected > 1
    if order.sorted < SORTED and not one:
        return
    places = [] if totals is None else [*_loaders(totals), *_slices(totals), *_walks(totals)]
    mixed = None if one or order.blocks < SORTED else _mixed(tape)
    shown = mixed is not None and mixed.in_random_order - mixed.as_written >= GAIN
    if not places and not shown:
        return
    said = "the training rows come sorted by class and are not shuffled"
    if one:
        said = f"all {order.labels} labels seen so far are of one class: the rows come in order, and are not shuffled"
    measure = Evidence("how sorted the batches are (0 mixed, 1 pure)", round(1.0 if one else order.sorted, 3), "near 0")
    evidence, sure = [measure], ""
    if mixed is not None:
        came, drawn = mixed.as_written, mixed.in_random_order
        evidence.append(Evidence("skill on all rows, trained on them as they came", came, "as below"))
        evidence.append(Evidence("skill on all rows, trained on them in random order", drawn, "as above"))
        sure = f"in random order the same rows bring it to a skill of {drawn:.2f} instead of {came:.2f}"
    site = totals.source.site(places[0][0]) if totals is not None and places else None
    remedies = tuple(remedy for _, remedy in places[:1])
    yield Finding(FAULT, said, site, tuple(evidence), remedies, "error", demonstrated=sure if shown else "")


def _mixed(tape: Tape) -> Mixed | None:
    try:
        return Mixed.read(tape)
    except NotApplicable:
        return None


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
    for loop in _row_loops(totals):
        names = _cut(totals, loop)
        if names and not any(_permuted(totals, loop, name) for name in names):
            yield loop, PermuteRows(totals.source.site(loop), tuple(names))


def _row_loops(totals: Totals) -> Iterator[Loop]:
    """The training loops, and those of generators that they go over."""
    for loop in totals.training.batch_loops:
        yield loop
        over = iterated(loop)
        for function in totals.source.called(over) if isinstance(over, ast.Call) else ():
            inner = totals.source.all(ast.For, function)
            yield from (f for f in inner if any(True for _ in totals.source.all(ast.Yield, f)))


def _walks(totals: Totals) -> Iterator[tuple[ast.AST, Treatment]]:
    """Training loops over row numbers in order, or over pieces of the rows themselves: `torch.arange(n).split(8)`."""
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
    """Whether a name holds a permutation, or rows taken by one."""
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
