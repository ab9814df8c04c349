"""A loss or an accuracy that the script reports is computed wrongly.

## Why it hurts

The network may be learning well, or not at all: the number that should tell says something else. A validation loss
that stays at 0, an accuracy of 3 % beside a falling loss, one above 100 % or one that never moves send people to mend a
network that is not broken, or make them trust one that is.

## How it is seen

The text is read. A total starts at zero, is printed, and nothing is ever added to it while a neighbour is added to
twice. A count of right answers is assigned in the batch loop where it should grow, and is then divided by the number of
all samples. A count is divided by the number of batches, or the mean of each batch by the number of samples. A total is
divided per epoch but never starts again. Logits are rounded or compared with one half; probabilities are compared with
zero; the largest output is sought along the batch. Only forms that are wrong for certain are reported.

## What to do

Add to the total that is reported, start it at zero where its divisor starts, divide a sum by the number of things that
were summed, and turn outputs into answers on the scale they are on: logits are compared with 0, probabilities with 0.5,
classes are picked with `argmax(dim=1)`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis import Evidence, Finding, Severity
from unstuck.remedies.add_up_totals import AddUpTotals, RestartTotals
from unstuck.remedies.count_right import CountRight
from unstuck.remedies.decide_right import HalfThreshold, PickByClass, ThresholdProbabilities
from unstuck.signals.predictions import ON_LOGITS, ON_PROBABILITIES, Predictions
from unstuck.signals.source import Binding, Loop, Source
from unstuck.signals.totals import Total, Totals, iterated, loops_between

FAULT = "metric-error"
WRONG = {
    ("count", "batches"): "error",
    ("share", "samples"): "error",
    ("loss", "samples"): "hint",
    ("loss-sum", "batches"): "hint",
}
"""What is summed, what it is divided by, and how bad that is: a loss on another scale still tells whether it falls."""


def check(predictions: Predictions) -> Iterator[Finding]:
    """Totals first, then the decisions that are made on outputs."""
    totals = predictions.totals
    for total in totals.all:
        yield from _stranger(totals, total)
        yield from _overwritten(totals, total)
        yield from _never_restarted(totals, total)
        yield from _miscounted(totals, total)
    yield from _rounded(predictions)
    yield from _wrong_threshold(predictions)
    yield from _picked(predictions)


def _found(source: Source, node: ast.AST, said: str, *remedies: object, severity: Severity = "error") -> Finding:
    site = source.site(node)
    told = f"line {site.line}: {said}" if severity == "error" else ""
    evidence = Evidence(
        "in the text", source.code(source.statement(node)).splitlines()[0].strip(), "what the name promises"
    )
    return Finding(
        FAULT, said, site, (evidence,), remedies, severity, "hint" if severity == "hint" else "suspect", told
    )


# -- totals ----------------------------------------------------------------------------------------------------------


def _stranger(totals: Totals, total: Total) -> Iterator[Finding]:
    if total.adds or total.sets or not total.starts or not total.reads:
        return
    for other in totals.all:
        if other.scope is not total.scope or not _alike(total.name, other.name):
            continue
        for added in _added_twice(totals, other):
            said = f"the evaluation is added to {other.name}; {total.name} is reported and nothing is ever added to it"
            yield _found(
                totals.source, added.statement, said, AddUpTotals(totals.source.site(added.statement), total.name)
            )
            return


def _added_twice(totals: Totals, total: Total) -> Iterator[Binding]:
    """The addition to a total that stands in an evaluation loop, where another stands in a training loop."""
    loops = {b: totals.source.loops(b.statement)[:1] for b in total.adds}
    trains = {loop for b in total.adds for loop in loops[b] if totals.training.in_training(b.statement)}
    for b in total.adds:
        apart = trains and not trains.intersection(loops[b])
        if loops[b] and apart and totals.training.gradient_free(b.statement):
            yield b


def _alike(name: str, other: str) -> bool:
    mine, theirs = _words(name), _words(other)
    return name != other and bool(mine & theirs) and len(mine ^ theirs) <= 2


def _words(name: str) -> set[str]:
    return set(name.replace("[", "_").replace(".", "_").replace("'", "").replace("]", "").lower().split("_"))


def _overwritten(totals: Totals, total: Total) -> Iterator[Finding]:
    if total.adds or len(total.sets) != 1 or totals.source.loops(total.sets[0].statement)[:1] == ():
        return
    b = total.sets[0]
    loop = totals.source.loops(b.statement)[0]
    if (
        b.kind != "assign"
        or b.item >= 0
        or b.value is None
        or not isinstance(loop, ast.For)
        or not totals.batched(loop)
    ):
        return
    kind, reads = totals.amount(b.value), _after(totals.source, total, loop)
    wanted = {"count": "samples", "loss": "batches", "share": "batches"}.get(kind)
    divided = [d for r in reads if (d := totals.divisor(r)) is not None and totals.counted(d, loop) == wanted]
    whole = kind == "count" and any(_fixed_size(totals, d, loop) for r in reads if (d := totals.divisor(r)) is not None)
    if len(reads) == len(total.reads) and (divided or whole):
        said = f"{total.name} is overwritten by every batch, so only the last one is left to be divided by all of them"
        start = None if _starts_outside(totals.source, total, loop) else totals.source.site(loop)
        yield _found(totals.source, b.statement, said, AddUpTotals(totals.source.site(b.statement), total.name, start))


def _after(source: Source, total: Total, loop: Loop) -> list[ast.expr]:
    return [r for r in total.reads if not source.inside(r, loop)]


def _fixed_size(totals: Totals, divisor: ast.expr, loop: Loop) -> bool:
    """A length that no name of the loop takes part in: `x.shape[0]` of the whole set, `len(y_val)`."""
    if totals.amount(divisor) != "size":
        return False
    inner = {b.name for b in totals.source.bindings if totals.source.inside(b.statement, loop)}
    return not any(isinstance(n, ast.Name) and n.id in inner for n in ast.walk(divisor))


def _starts_outside(source: Source, total: Total, loop: Loop) -> bool:
    return any(not source.inside(b.statement, loop) for b in total.starts)


def _never_restarted(totals: Totals, total: Total) -> Iterator[Finding]:
    source = totals.source
    for b in total.adds:
        loops = source.loops(b.statement)
        epoch = loops[1] if len(loops) > 1 and isinstance(loops[1], ast.For) else None
        if epoch is None or not totals.training.is_epoch_loop(epoch) or total.sets or not total.starts:
            continue
        if any(source.inside(s.statement, epoch) for s in total.starts) or totals.amount(b.value or b.statement) == "":  # type: ignore[arg-type]
            continue
        reads = [r for r in total.reads if source.inside(r, epoch) and list(loops_between(source, r, epoch)) == []]
        wrong = [
            d for r in reads if (d := totals.divisor(r)) is not None and totals.counted(d, loops[0]) and _is_length(d)
        ]
        if wrong and len(reads) == len(total.reads):
            said = f"{total.name} is divided in every epoch but keeps the sums of the epochs before"
            yield _found(source, b.statement, said, RestartTotals(source.site(epoch), (total.name,)))
            return


def _is_length(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "len"


def _miscounted(totals: Totals, total: Total) -> Iterator[Finding]:
    loops = {loop for b in total.adds for loop in totals.source.loops(b.statement)[:1]}
    kinds = {totals.amount(b.value) for b in total.adds if b.value is not None}
    if len(loops) != 1 or len(kinds) != 1 or total.sets:
        return
    loop, kind = loops.pop(), kinds.pop()
    if not totals.batched(loop):
        return
    for read in _after(totals.source, total, loop):
        divisor = totals.divisor(read)
        severity = WRONG.get((kind, totals.counted(divisor, loop))) if divisor is not None else None
        if divisor is not None and severity is not None:
            yield _divided(totals, total, divisor, loop, kind, severity)


def _divided(totals: Totals, total: Total, divisor: ast.expr, loop: Loop, kind: str, severity: str) -> Finding:
    by_sample = kind in ("count", "loss-sum")
    over = iterated(loop)
    named = totals.source.code(over) if over is not None and isinstance(over, ast.Name | ast.Attribute) else ""
    instead = (f"len({named}.dataset)" if by_sample else f"len({named})") if named else ""
    summed, number = ("counts samples", "batches") if by_sample else ("sums one mean per batch", "samples")
    said = f"{total.name} {summed} and is divided by {totals.source.code(divisor)}, the number of {number}"
    remedies = (CountRight(totals.source.site(divisor), instead),) if instead else ()
    return _found(totals.source, divisor, said, *remedies, severity="error" if severity == "error" else "hint")


# -- decisions -------------------------------------------------------------------------------------------------------


def _rounded(predictions: Predictions) -> Iterator[Finding]:
    halves = (e for e, _, number in predictions.compared() if number == 0.5)
    for node in (*predictions.rounded(), *halves):
        if predictions.scale(node) == "logit":
            said = "logits are decided at one half as if they were probabilities; they are even at 0"
            yield _found(predictions.source, node, said, ThresholdProbabilities((predictions.source.site(node),)))


def _wrong_threshold(predictions: Predictions) -> Iterator[Finding]:
    for node, number, value in predictions.compared():
        if value == 0 and predictions.scale(node) == "probability":
            said = "probabilities are compared with 0, which all of them exceed"
            yield _found(predictions.source, number, said, HalfThreshold(predictions.source.site(number)))


def _picked(predictions: Predictions) -> Iterator[Finding]:
    source = predictions.source
    for node, dim in predictions.picked():
        call, number = predictions.output(node), source.number(dim)
        if call is None:
            continue
        loop = next(iter(source.loops(call)), None)
        if number == 0 and loop is not None and predictions.totals.batched(loop) and _gets_batch(source, call, loop):
            said = "the largest output is sought along the batch (dim 0), not over the classes"
            yield _found(source, dim, said, PickByClass(source.site(dim)))
        elif number in (1, -1) and _single(predictions, call):
            yield _found(
                source, dim, "the network has a single output: its largest entry along dim 1 is always number 0"
            )


def _gets_batch(source: Source, call: ast.Call, loop: Loop) -> bool:
    given = call.args[0] if len(call.args) == 1 else None
    names = [n for n in ast.walk(given) if isinstance(n, ast.Name)] if given else []
    return any(b.kind == "loop" and b.statement is loop for n in names for b in source.bindings_of(n))


def _single(predictions: Predictions, call: ast.Call) -> bool:
    layer = predictions.last_layer(call.func)
    width = layer.args[1] if layer is not None and len(layer.args) > 1 else None
    binary = bool(predictions.losses) and predictions.losses <= ON_LOGITS | ON_PROBABILITIES
    return binary and width is not None and predictions.source.number(width) == 1


_SCRIPT = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(600, 6)
y = (x[:, 0] + x[:, 1] > 0).long()
train_loader = DataLoader(TensorDataset(x[:400], y[:400]), batch_size=20, shuffle=True)
val_loader = DataLoader(TensorDataset(x[400:], y[400:]), batch_size=20)
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(5):
    train_loss = 0.0
    val_loss = 0.0
    for xb, yb in train_loader:
        optimizer.zero_grad()
        loss = loss_fn(model(xb), yb)
        loss.backward()
        optimizer.step()
        train_loss += loss.item()
    with torch.no_grad():
        for xb, yb in val_loader:
            {added} += loss_fn(model(xb), yb).item()
    print(epoch, "train", train_loss / len(train_loader), "val", val_loss / len(val_loader))
"""

FIRES = _SCRIPT.format(added="train_loss")
QUIET = _SCRIPT.format(added="val_loss")
