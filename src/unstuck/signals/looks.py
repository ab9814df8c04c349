"""Read from a tape what a page draws. What cannot be read becomes a note."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from unstuck.diagnosis.looks import Column, Entering, Kind, Layer, Looks, Picture, Row
from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.activations import measured
from unstuck.signals.gradients import Gradients
from unstuck.signals.inputs import Input, Inputs
from unstuck.signals.learning import Learning
from unstuck.signals.task import Task, main_program
from unstuck.signals.tokens import Tokens
from unstuck.tape.interpreter import CannotReplay
from unstuck.tape.model import Tape
from unstuck.tape.program import Call

COLUMNS, ROWS, GIVEN, TOKENS, PICTURES, CALLS, BINS, POINTS = 12, 8, 8, 28, 8, 120, 24, 600
"""Columns, rows, numbers and tokens of a row, pictures, calls, bins and points that are drawn at most."""
SMALLEST, WIDEST = 6, 96
"""Pixels along a side of what counts as a picture; larger pictures are thinned to it."""
NAN = float("nan")
Part = TypeVar("Part")


def looks(tape: Tape) -> Looks:
    """What the tape shows. Raises nothing: a part that cannot be read is left out with a note."""
    notes: list[str] = []
    return Looks(
        entering=_all_entering(tape, notes),
        layers=_part(lambda: tuple(_layers(tape)), (), "the step's calls", notes),
        losses=_losses(tape),
        rates=tuple(_rates(tape)),
        skill=_part(lambda: Learning.read(tape).skill, (), "skill", notes),
        notes=tuple(notes),
    )


def _all_entering(tape: Tape, notes: list[str]) -> tuple[Entering, ...]:
    """What enters as numbers, and what is looked up; only where there is neither, it is said why."""
    missing: list[str] = []
    numbers = _part(lambda: tuple(_entering(tape)), (), "what enters", missing)
    looked_up = _part(lambda: tuple(_looked_up(tape)), (), "token ids", notes)
    notes += missing if not looked_up else ()
    return (*numbers, *looked_up)


def _looked_up(tape: Tape) -> Iterator[Entering]:
    for table in Tokens.read(tape):
        yield Entering(
            name=f"input {table.slot}",
            kind="identities",
            shape=table.shape,
            dtype=table.dtype,
            site=table.call.site,
            nonfinite=0.0,
            features=table.size,
            tokens=tuple(table.rows(ROWS, TOKENS)),
            named=table.named,
        )


def _part(read: Callable[[], Part], empty: Part, what: str, notes: list[str]) -> Part:
    try:
        return read()
    except (NotApplicable, CannotReplay) as reason:
        notes.append(f"{what}: {reason}")
    except Exception as error:
        notes.append(f"{what}: {type(error).__name__}: {str(error)[:120]}")
    return empty


def _losses(tape: Tape) -> tuple[tuple[float, ...], tuple[float, ...]]:
    kept = _thinned(range(len(tape.losses)))
    return tuple(float(tape.place(i)) for i in kept), tuple(tape.losses[i] for i in kept)


def _thinned(places: Sequence[int]) -> list[int]:
    """At most POINTS of them, the first and the last included."""
    stride = max(1, math.ceil(len(places) / POINTS))
    kept = list(places[::stride])
    return kept if not places or kept[-1] == places[-1] else [*kept, places[-1]]


def _rates(tape: Tape) -> Iterator[tuple[str, tuple[float, ...], tuple[float, ...]]]:
    for number, optimizer in enumerate(tape.optimizers):
        steps = [u for u in tape.updates if u.optimizer == number and u.rates]
        groups = max((len(u.rates) for u in steps), default=0)
        for group in range(groups):
            kept = [i for i in _thinned(range(len(steps))) if group < len(steps[i].rates)]
            name = f"{optimizer.name}{f', group {group + 1}' if groups > 1 else ''}"
            yield name, tuple(float(i + 1) for i in kept), tuple(steps[i].rates[group] for i in kept)


def _entering(tape: Tape) -> Iterator[Entering]:
    inputs = Inputs.read(tape)
    for entry in inputs.inputs:
        kind = _kind(entry)
        yield Entering(
            name=f"input {entry.slot}",
            kind=kind,
            shape=entry.shape,
            dtype=str(entry.raw[0].dtype).removeprefix("torch."),
            site=entry.call.site,
            nonfinite=entry.share_nonfinite,
            features=entry.rows.shape[1],
            columns=tuple(_columns(entry)),
            pictures=tuple(map(_picture, entry.raw[-1][:PICTURES])) if kind == "pictures" else (),
            rows=tuple(_rows(tape, entry)),
        )


def _kind(entry: Input) -> Kind:
    shape = entry.raw[0].shape
    if len(shape) == 4 and shape[1] in (1, 3) and min(shape[2:]) >= SMALLEST:
        return "pictures"
    return "columns" if len(shape) == 2 else "numbers"


def _columns(entry: Input) -> Iterator[Column]:
    for i in range(min(COLUMNS, entry.rows.shape[1])):
        values = entry.rows[:, i]
        if values.numel():
            yield column(f"feature {i}", values)


def column(name: str, values: Tensor) -> Column:
    """Statistics and histogram of (rows,) finite values."""
    low, high = float(values.min()), float(values.max())
    room = (high - low) / 2 or abs(low) / 10 or 1.0
    ends = (low, high) if high > low else (low - room, high + room)
    counts = torch.histc(values.double(), BINS, *ends)
    edges = torch.linspace(*ends, BINS + 1, dtype=torch.float64)
    std = float(values.std(correction=0))
    return Column(name, float(values.mean()), std, low, high, tuple(edges.tolist()), tuple(counts.tolist()))


def _picture(image: Tensor) -> Picture:
    """(channels, height, width), scaled from its own lowest to its highest value."""
    stride = max(1, math.ceil(max(image.shape[1:]) / WIDEST))
    small = image[:, ::stride, ::stride].double().nan_to_num(0.0, 0.0, 0.0)
    low, high = float(small.min()), float(small.max())
    grey = (255 * (small - low) / ((high - low) or 1.0)).round().int()
    return Picture(tuple(tuple(map(tuple, line)) for line in grey.permute(1, 2, 0).tolist()), low, high)


def _rows(tape: Tape, entry: Input) -> Iterator[Row]:
    """Of the last recorded batch, with target and answer where both have a row for each."""
    main = main_program(tape)
    last = [p for p in tape.passes if p.program == main][-1]
    given = tape.tensors[last.outside[entry.slot]]
    task = Task.read(tape)
    target = tape.tensors.get(last.outside[task.target]) if task.target is not None else None
    answer = tape.tensors.get(last.output)
    for i in range(min(ROWS, len(given)) if given.dim() else 0):
        yield Row(_numbers(given, i, len(given)), _numbers(target, i, len(given)), _numbers(answer, i, len(given)))


def _numbers(tensor: Tensor | None, row: int, rows: int) -> tuple[float, ...]:
    if tensor is None or not tensor.dim() or len(tensor) != rows:
        return ()
    return tuple(tensor[row].reshape(-1)[:GIVEN].double().tolist())


def _layers(tape: Tape) -> Iterator[Layer]:
    main = main_program(tape)
    program = tape.programs[main]
    calls = [c for c in program.calls if c.outs][:CALLS]
    values = _scales(tape, main, calls)
    gradients = _gradients(tape)
    for call, (start, end) in zip(calls, values, strict=True):
        names = call.weights()
        yield Layer(
            site=call.site,
            call=call.name.removeprefix("torch.nn.functional.").removeprefix("torch."),
            shape=tuple(call.shape),
            start=start,
            end=end,
            weights=tuple(names),
            gradient=_norm(gradients, names),
        )


def _scales(tape: Tape, main: int, calls: Sequence[Call]) -> list[tuple[float, float]]:
    try:
        return [(start.scale, end.scale) for start, end in measured(tape, main, calls)]
    except NotApplicable:
        return [(NAN, NAN)] * len(calls)


def _gradients(tape: Tape) -> Gradients | None:
    try:
        return Gradients.read(tape)
    except NotApplicable:
        return None


def _norm(gradients: Gradients | None, names: Iterable[str]) -> tuple[float, float]:
    known = [gradients.typical(name) for name in names if name in gradients.by_weight] if gradients else []
    if not known:
        return NAN, NAN
    return math.hypot(*(start for start, _ in known)), math.hypot(*(end for _, end in known))
