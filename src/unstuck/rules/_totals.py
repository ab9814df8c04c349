"""Running totals that are never accumulated, overwritten, never reset, or divided by the wrong number."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Finding
from unstuck.remedies.add_up_totals import AddUpTotals, RestartTotals
from unstuck.remedies.count_right import CountRight
from unstuck.rules._reported import misreported
from unstuck.signals.printed import Printed
from unstuck.signals.source import Binding, Loop, Source
from unstuck.signals.totals import Total, Totals, iterated, loops_between

WRONG = {
    ("count", "batches"): "error",
    ("share", "samples"): "error",
    ("loss", "samples"): "hint",
    ("loss-sum", "batches"): "hint",
}
"""Severity by what is summed and what it is divided by: a loss on another scale still shows whether it falls."""


def wrong_totals(totals: Totals, printed: Printed | None, means: bool) -> Iterator[Finding]:
    """Report totals that are certainly wrong. `means`: on the tape, the training loss is a mean over its batch."""
    for total in totals.all:
        yield from _stranger(totals, total, printed)
        yield from _overwritten(totals, total)
        yield from _never_restarted(totals, total)
        yield from _miscounted(totals, total, means)
        yield from _last_size(totals, total)


def _stranger(totals: Totals, total: Total, printed: Printed | None) -> Iterator[Finding]:
    if total.adds or total.sets or not total.starts or not total.reads:
        return
    for other in totals.all:
        if other.scope is not total.scope or not _alike(total.name, other.name):
            continue
        for added in _added_twice(totals, other):
            said = f"the evaluation is added to {other.name} instead of {total.name}, which stays 0"
            remedy = AddUpTotals(totals.source.site(added.statement), total.name)
            shown = _zeros(printed, total.name) if printed is not None else ""
            yield misreported(totals.source, added.statement, said, remedy, shown=shown)
            return


def _zeros(printed: Printed, name: str) -> str:
    """How often a number of that name is printed, if it is 0 each time."""
    told = [[n.value for n in line.numbers if _words(name) & set(n.words)] for line in printed.lines]
    values = [numbers for numbers in told if numbers]
    zero = len(values) > 1 and any(all(v == 0 for v in column) for column in zip(*values, strict=False))
    return f"{name} is printed as 0 in all {len(values)} lines" if zero else ""


def _added_twice(totals: Totals, total: Total) -> Iterator[Binding]:
    """The addition to a total in an evaluation loop, if the total is also added to in a training loop."""
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
    if total.adds or len(total.sets) != 1 or not totals.source.loops(total.sets[0].statement):
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
        said = f"{total.name} is assigned (=) in the batch loop, not accumulated (+=), so only the last batch counts"
        start = None if _starts_outside(totals.source, total, loop) else totals.source.site(loop)
        yield misreported(
            totals.source, b.statement, said, AddUpTotals(totals.source.site(b.statement), total.name, start)
        )


def _after(source: Source, total: Total, loop: Loop) -> list[ast.expr]:
    return [r for r in total.reads if not source.inside(r, loop)]


def _fixed_size(totals: Totals, divisor: ast.expr, loop: Loop) -> bool:
    """A length that does not depend on the loop: `x.shape[0]` of the whole set, `len(y_val)`."""
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
        if len(loops) < 2 or not isinstance(epoch := loops[1], ast.For):
            continue
        if not totals.training.is_epoch_loop(epoch) or total.sets or not total.starts:
            continue
        restarted = any(source.inside(s.statement, epoch) for s in total.starts)
        if restarted or b.value is None or not totals.amount(b.value):
            continue
        reads = [
            r for r in total.reads if source.inside(r, epoch) and not any(True for _ in loops_between(source, r, epoch))
        ]
        wrong = [
            d for r in reads if (d := totals.divisor(r)) is not None and _is_length(d) and totals.counted(d, loops[0])
        ]
        if wrong and len(reads) == len(total.reads):
            said = f"{total.name} is divided in every epoch but never reset to 0, so it grows with the epochs"
            yield misreported(source, b.statement, said, RestartTotals(source.site(epoch), (total.name,)))
            return


def _is_length(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "len"


def _miscounted(totals: Totals, total: Total, means: bool) -> Iterator[Finding]:
    loops = {loop for b in total.adds for loop in totals.source.loops(b.statement)[:1]}
    kinds = {totals.amount(b.value) for b in total.adds if b.value is not None}
    if len(loops) != 1 or len(kinds) != 1 or total.sets:
        return
    loop, kind = loops.pop(), kinds.pop()
    if not totals.batched(loop) or (kind.startswith("loss") and not means):
        return
    for read in _after(totals.source, total, loop):
        divisor = totals.divisor(read)
        severity = WRONG.get((kind, totals.counted(divisor, loop))) if divisor is not None else None
        if divisor is not None and severity is not None:
            yield _divided(totals, total, divisor, loop, kind, severity)


def _last_size(totals: Totals, total: Total) -> Iterator[Finding]:
    """A number of samples that is overwritten by every batch, as the divisor of a total that accumulates."""
    sizes = [b for b in total.sets if b.kind == "assign" and b.item < 0 and b.value is not None]
    loops = totals.source.loops(sizes[0].statement)[:1] if len(sizes) == len(total.sets) == 1 and not total.adds else ()
    if not loops or not total.starts or totals.amount(sizes[0].value or total.reads[0]) != "size":
        return
    after = set(_after(totals.source, total, loops[0]))
    for other in totals.all:
        grows = other.scope is total.scope and any(loops[0] in totals.source.loops(b.statement) for b in other.adds)
        divisors = [totals.divisor(r) for r in other.reads] if grows else []
        if after and after == set(total.reads) and any(d in after for d in divisors):
            said = f"{other.name} sums over all batches but is divided by {total.name}, the size of the last one"
            site = totals.source.site(sizes[0].statement)
            yield misreported(totals.source, sizes[0].statement, said, AddUpTotals(site, total.name))
            return


def _divided(totals: Totals, total: Total, divisor: ast.expr, loop: Loop, kind: str, severity: str) -> Finding:
    by_sample = kind in ("count", "loss-sum")
    over = iterated(loop)
    named = totals.source.code(over) if over is not None and isinstance(over, ast.Name | ast.Attribute) else ""
    instead = (f"len({named}.dataset)" if by_sample else f"len({named})") if named else ""
    summed, number = ("sums over samples", "batches") if by_sample else ("sums one mean per batch", "samples")
    said = f"{total.name} {summed} but is divided by the number of {number}, {totals.source.code(divisor)}"
    remedies = (CountRight(totals.source.site(divisor), instead),) if instead else ()
    return misreported(totals.source, divisor, said, *remedies, severity="error" if severity == "error" else "hint")
