"""What enters one call of the step, by its line or its name: statistics and samples, at the start and at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.described import described, rounded
from unstuck.signals.task import Task, main_program
from unstuck.signals.tokens import Tokens
from unstuck.tape.interpreter import walk
from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Call, Outside, Program, Ref, Value, Weight, leaves
from unstuck.tape.site import Site

CALLS, LISTED, COLUMNS, NUMBERS, WORDS = 6, 80, 24, 16, 40
"""At most: calls that are told of or listed, columns with statistics, numbers and tokens of a sampled row."""
BATCHES, CELLS = 200, 4_000_000
"""Batches of a tensor from outside that are read together, and numbers in them, at most."""
WIDEST = 20_000
"""Calls of a program that is still run."""
When = Literal["first", "last"]
ROWS = ("rows", "row", "target", "targets")
"""Words that ask for the rows with their targets and answers."""


def overview(tape: Tape) -> dict[str, Any]:
    """The step: tensors from outside over all recorded batches, and every call with its line."""
    program, passes, target = _main(tape)
    calls = [c for c in program.calls if c.outs]
    told: dict[str, Any] = {
        "enters": [_entering(tape, passes, slot, slot == target) for slot in range(program.slots)[:CALLS]],
        "calls": [_line(c) for c in calls[:LISTED]],
    }
    return told | ({"calls_left_out": len(calls) - LISTED} if len(calls) > LISTED else {})


def rows(tape: Tape, count: int) -> dict[str, Any]:
    """Rows of the first batch and of the last: what was given, what was wanted, what was answered; and all targets."""
    program, passes, target = _main(tape)
    told: dict[str, Any] = {"task": Task.read(tape).kind}
    if target is None:
        told["target"] = None
    else:
        told["target"] = _entering(tape, passes, target, True)
    inputs = [slot for slot in range(program.slots) if slot != target][:CALLS]
    for when, one in (("first", passes[0]), ("last", passes[-1])):
        told[f"{when}_batch"] = [_row(tape, one, inputs, target, i) for i in range(_length(tape, one, inputs, count))]
    texts = {f"input {t.slot}": _texts(t, count) for t in Tokens.read(tape) if t.named}
    return told | ({"last_batch_as_text": texts} if texts else {})


def _texts(tokens: Tokens, count: int) -> list[dict[str, str]]:
    """The rows of token ids as the script's own texts, with targets and answers."""
    rows = tokens.rows(count, WORDS)
    parts = ({"given": row.given, "target": row.wanted, "answer": row.answered} for row in rows)
    return [{name: " ".join(texts) for name, texts in part.items() if texts} for part in parts]


def at(tape: Tape, where: str, count: int) -> dict[str, Any]:
    """Every argument and the result of the calls at a line (`train.py:12`, `12`) or of a name (a torch function, a
    weight or the module that holds it). Raises NotApplicable where there is none."""
    program, passes, target = _main(tape)
    found = matching(program, where)
    if not found:
        lines = ", ".join(dict.fromkeys(_where(c.site) for c in program.calls if c.site is not None))
        raise NotApplicable(f"no recorded call stands at or is called {where}; there are calls at {lines[:600]}")
    told: dict[str, Any] = {"calls": [_line(c) for c in found[:CALLS]]}
    if len(found) > CALLS:
        told["calls_left_out"] = len(found) - CALLS
    sides: tuple[tuple[When, Pass], ...] = (("first", passes[0]), ("last", passes[-1]))
    for when, one in sides:
        told[f"{when}_step"] = _told(lambda when=when, one=one: _step(tape, program, one, when, found[:CALLS], count))
    slots = {r.slot for c in found[:CALLS] for r in c.refs() if isinstance(r, Outside)}
    told["enters"] = [_entering(tape, passes, slot, slot == target) for slot in sorted(slots)]
    return told


def matching(program: Program, where: str) -> list[Call]:
    """The calls that a line or a name means: by their own line, else by a line that leads to them."""
    file, _, line = where.strip().rpartition(":")
    if line.isdigit():
        own = [c for c in program.calls if c.site is not None and _is_at(c.site, file, int(line))]
        return own or [c for c in program.calls if any(_is_at(s, file, int(line)) for s in c.sites)]
    name = where.strip().rpartition("torch.")[2].rpartition("functional.")[2].lower()
    return [c for c in program.calls if c.name.lower() == name or any(_holds(w, where.strip()) for w in c.weights())]


def _is_at(site: Site, file: str, line: int) -> bool:
    ends = site.end_line if site.end_line >= site.line else site.line
    return site.line <= line <= ends and (not file or site.file == file or site.file.endswith(f"/{file}"))


def _holds(weight: str, name: str) -> bool:
    return weight == name or weight.startswith(f"{name}.") or f".{name}." in f".{weight}"


def _main(tape: Tape) -> tuple[Program, list[Pass], int | None]:
    number = main_program(tape)
    passes = [p for p in tape.passes if p.program == number]
    try:
        target = Task.read(tape).target
    except NotApplicable:
        target = None
    return tape.programs[number], passes, target


def _entering(tape: Tape, passes: Sequence[Pass], slot: int, target: bool) -> dict[str, Any]:
    """Statistics over the batches that stood in a slot, and by column where rows have few."""
    keys = list(dict.fromkeys(p.outside[slot] for p in passes))
    batches, cells = [], 0
    for key in keys[:BATCHES]:
        batches.append(tape.tensors[key])
        cells += batches[-1].numel()
        if cells >= CELLS:
            break
    told = {"tensor": f"input {slot}", "is_target": target, "different_batches": len(keys), "passes": len(passes)}
    told |= {"batch_shape": list(batches[0].shape), "batches_read": len(batches)}
    whole = torch.cat([b.reshape(-1) for b in batches])
    told |= {k: v for k, v in described(whole).items() if k != "shape"}
    flat = [b for b in batches if b.dim() == 2 and b.shape[1] == batches[0].shape[-1]]
    return told | (_columns(torch.cat(flat)) if flat and flat[0].shape[1] > 1 else {})


def _columns(table: Tensor) -> dict[str, Any]:
    """Mean, standard deviation, smallest and largest of each column of (rows, columns), without what is not finite."""
    shown = []
    for n in range(min(table.shape[1], COLUMNS)):
        values = table[:, n].double()
        values = values[torch.isfinite(values)]
        if len(values):
            numbers = (values.mean(), values.std(correction=0), values.min(), values.max())
            shown.append([rounded(float(v)) for v in numbers])
        else:
            shown.append([])
    left = table.shape[1] - len(shown)
    return {"columns_mean_std_min_max": shown, **({"columns_left_out": left} if left else {})}


def _length(tape: Tape, one: Pass, slots: Sequence[int], count: int) -> int:
    lengths = [len(t) for s in slots if (t := tape.tensors[one.outside[s]]).dim()]
    return min(count, max(lengths, default=0))


def _row(tape: Tape, one: Pass, inputs: Sequence[int], target: int | None, row: int) -> dict[str, Any]:
    told: dict[str, Any] = {f"input {s}": _numbers(tape.tensors[one.outside[s]], row) for s in inputs}
    if target is not None:
        told["target"] = _numbers(tape.tensors[one.outside[target]], row)
    if one.output in tape.tensors:
        told["answer"] = _numbers(tape.tensors[one.output], row)
    return {name: numbers for name, numbers in told.items() if numbers is not None}


def _numbers(tensor: Tensor, row: int) -> list[float | str] | None:
    """The first numbers of a row, with "nan" and "inf" as JSON can hold them; None where the tensor has no such row."""
    if not tensor.dim() or row >= len(tensor):
        return None
    numbers = (float(v) for v in tensor[row].reshape(-1)[:NUMBERS])
    return [rounded(v) if math.isfinite(v) else str(v) for v in numbers]


def _step(tape: Tape, program: Program, one: Pass, when: When, calls: Sequence[Call], count: int) -> list[Any]:
    """What one step gives to each of some calls, and what each makes of it."""
    if program.missing or len(program.calls) > WIDEST:
        raise NotApplicable(program.missing or f"its step has {len(program.calls)} calls")
    weights = {name: _weight(tape, name, when) for name in program.weights()}
    outside = tuple(tape.tensors[k] for k in one.outside)
    told = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for call, values in walk(program, weights, outside, {}):
            if any(call is c for c in calls):
                told.append(_call(program, call, _reader(values, weights, outside), count))
            if len(told) == len(calls):
                break
    return told


def _weight(tape: Tape, name: str, when: When) -> Tensor:
    last = tape.tensors.get(f"f:{name}") if when == "last" else None
    return tape.start(name) if last is None else last


def _reader(values: Any, weights: dict[str, Tensor], outside: tuple[Tensor, ...]) -> Callable[[Ref], Tensor | None]:
    def read(ref: Ref) -> Tensor | None:
        match ref:
            case Value(id=number):
                return values.get(number)
            case Weight(name=name):
                return weights.get(name)
            case Outside(slot=slot):
                return outside[slot]
        return None

    return read


def _call(program: Program, call: Call, read: Callable[[Ref], Tensor | None], count: int) -> dict[str, Any]:
    given = [_tensor(f"{name} <- {_origin(program, ref)}", read(ref), count) for name, ref in _arguments(call)]
    made = [_tensor("result", read(Value(out)), count) for out in call.outs[:2]]
    return {"call": _line(call), "given": given, "made": made}


def _arguments(call: Call) -> Iterator[tuple[str, Ref]]:
    """Every tensor among the arguments, with the position or the keyword it was given by."""
    named = [*((str(n), a) for n, a in enumerate(call.args)), *call.kwargs.items()]
    for name, argument in named:
        yield from ((name, leaf) for leaf in leaves(argument) if isinstance(leaf, Ref))


def _origin(program: Program, ref: Ref) -> str:
    match ref:
        case Weight(name=name):
            return f"weight {name}"
        case Outside(slot=slot):
            return f"input {slot}"
    maker = program.maker(ref)
    return f"result of {_line(maker)}" if maker is not None else "constant"


def _tensor(name: str, tensor: Tensor | None, count: int) -> dict[str, Any]:
    if tensor is None:
        return {"tensor": name, "not_known": "it was not kept"}
    told = {"tensor": name, **described(tensor)}
    shown = (_numbers(tensor, row) for row in range(count if tensor.dim() else 0))
    told["sample"] = [row for row in shown if row is not None]
    return told | (_columns(tensor) if tensor.dim() == 2 and 1 < tensor.shape[1] <= COLUMNS else {})


def _line(call: Call) -> str:
    shape = "x".join(map(str, call.shape)) or "one number"
    return f"{_where(call.site)} {call.name} -> {shape}"


def _where(site: Site | None) -> str:
    return f"{site.file}:{site.line}" if site is not None else "-"


def _told(part: Callable[[], Any]) -> Any:
    try:
        return part()
    except Exception as reason:  # what cannot be run must not cost what is on the tape
        return {"not_known": (str(reason).splitlines() or [type(reason).__name__])[0][:200]}
