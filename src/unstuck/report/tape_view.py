"""What is on a tape: the training step as a program, options of the loop, and the loss."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from unstuck.report.layout import printed, table, titled
from unstuck.report.sentences import number, place
from unstuck.tape.model import Optimizer, Tape
from unstuck.tape.program import Call, Constant, Outside, Program, Ref, Weight

CALLS = 60
BARS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
PLAIN_BARS = "_.-=+*#@"


def render(tape: Tape, *, width: int = 100, colour: bool = False, ascii: bool = False) -> str:
    """The tape as text."""
    return printed([Text(_head(tape)), *_parts(tape, width, ascii)], width, colour, ascii)


def _head(tape: Tape) -> str:
    steps = f"{tape.steps} optimizer steps, {len(tape.passes)} backward passes recorded"
    return f"{tape.script}: {steps} in {number(tape.seconds, 2)} s; {tape.stopped} (torch {tape.torch})"


def _parts(tape: Tape, width: int, ascii: bool) -> Iterator[RenderableType]:
    uses = Counter(p.program for p in tape.passes)
    for i, program in enumerate(tape.programs):
        yield titled(f"Program {i + 1}: {_uses(uses[i])}", _calls(program, tape), *_missing(program))
    if tape.parameters:
        yield titled("Weights", _weights(tape))
    yield titled("The loop", *(Text(line) for line in _loop_options(tape)))
    if tape.losses:
        yield titled("Loss", *(Text(line) for line in _loss(tape, width, ascii)))
    if tape.error is not None:
        yield titled("Error", Text(f"{tape.error.get('type')}: {tape.error.get('message')}"))
    if tape.notes:
        yield titled("Notes", *(Text(note) for note in tape.notes))


def _uses(n: int) -> str:
    return {0: "never differentiated", 1: "one backward pass"}.get(n, f"{n} backward passes")


def _calls(program: Program, tape: Tape) -> RenderableType:
    rows = table("line", "call", "reads", "result")
    for call in program.calls[:CALLS]:
        reads = ", ".join(dict.fromkeys(_named(ref, tape) for ref in call.refs() if not _inner(ref)))
        mark = "  the loss" if program.loss in call.outs else ""
        rows.add_row(Text(place(call.site)), Text(call.name), Text(reads), Text(_shape(call) + mark))
    if len(program.calls) > CALLS:
        rows.add_row("", Text(f"... {len(program.calls) - CALLS} more"), "", "")
    return rows


def _inner(ref: Ref) -> bool:
    return not isinstance(ref, Weight | Outside | Constant)


def _named(ref: Ref, tape: Tape) -> str:
    match ref:
        case Weight(name):
            return name
        case Outside(slot):
            return f"input {slot}{_entering(slot, tape)}"
        case _:
            return "constant"


def _entering(slot: int, tape: Tape) -> str:
    """The shape of what stood in a slot in the first recorded pass."""
    keys = tape.passes[0].outside if tape.passes else ()
    tensor = tape.tensors.get(keys[slot]) if slot < len(keys) else None
    return "" if tensor is None else f" {tuple(tensor.shape)}"


def _shape(call: Call) -> str:
    return "x".join(map(str, call.shape)) or "one number"


def _missing(program: Program) -> Iterator[Text]:
    if program.missing:
        yield Text(f"cannot be run again: {program.missing}")


def _weights(tape: Tape) -> RenderableType:
    rows = table("name", "shape", "held by")
    for p in tape.parameters:
        held = p.optimizer >= 0 and p.optimizer < len(tape.optimizers)
        holder = f"{tape.optimizers[p.optimizer].name} {p.optimizer + 1}" if held else "no optimizer"
        state = "a buffer" if p.buffer else holder if p.trainable else f"{holder}, frozen"
        rows.add_row(Text(p.name), Text("x".join(map(str, p.shape)) or "one number"), Text(state))
    return rows


def _loop_options(tape: Tape) -> Iterator[str]:
    for i, optimizer in enumerate(tape.optimizers):
        rates = [u.rates[0] for u in tape.updates if u.optimizer == i and u.rates]
        yield f"optimizer {i + 1}: {optimizer.name}{_options(optimizer)}{_rates(rates)}, holds {optimizer.held} tensors"
    if not tape.optimizers:
        yield "no step of an optimizer was recorded"
    if tape.passes:
        used = {u.after for u in tape.updates}
        stale = sum(bool(p.stale) for n, p in enumerate(tape.passes) if n in used)
        yield "gradients: " + (f"not cleared after {stale} of the steps" if stale else "cleared in time")
        yield f"forward passes that no backward followed: {len(tape.evaluations)}"


def _options(optimizer: Optimizer) -> str:
    known = optimizer.groups[0] if optimizer.groups else {}
    told = (f"{name} {number(known[name])}" for name in ("momentum", "weight_decay") if known.get(name))
    clip = f"clipped to {number(optimizer.clip)}" if optimizer.clip is not None else ""
    return "".join(f", {part}" for part in (*told, clip) if part)


def _rates(rates: list[float]) -> str:
    if not rates:
        return ""
    return f", lr {number(rates[0])}" + (f" to {number(rates[-1])}" if rates[-1] != rates[0] else "")


def _loss(tape: Tape, width: int, ascii: bool) -> Iterator[str]:
    known = [v for v in tape.losses if math.isfinite(v)]
    bad = len(tape.losses) - len(known)
    if known:
        yield f"first {number(tape.losses[0])}, smallest {number(min(known))}, last {number(tape.losses[-1])}"
        yield _sparks(known, min(width - 4, 72), PLAIN_BARS if ascii else BARS)
    if bad:
        yield f"{bad} of {len(tape.losses)} losses are not finite"


def _sparks(values: list[float], width: int, bars: str) -> str:
    """The values as a row of bars: the mean of each stretch."""
    size = max(1, math.ceil(len(values) / width))
    means = [sum(part) / len(part) for part in (values[i : i + size] for i in range(0, len(values), size))]
    low, span = min(means), max(means) - min(means) or 1.0
    return "".join(bars[min(len(bars) - 1, int((m - low) / span * len(bars)))] for m in means)
