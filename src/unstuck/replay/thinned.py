"""A tape with every n-th row of each batch, for steps that are too heavy to replay whole."""

from __future__ import annotations

import msgspec
import torch

from unstuck.signals.task import Task, main_program
from unstuck.tape.interpreter import run
from unstuck.tape.model import Pass, Tape

LEAST_ROWS = 24
"""With fewer rows per batch, gradient noise makes it another run."""
SEQUENCES, MANY_TARGETS = 6, 16
"""Fewer rows will do if each holds MANY_TARGETS targets or more: the words of a sentence, the pixels of a mask."""
SAME_SIZE = 0.7
"""Least ratio of a thinned batch's loss to the whole one's: a sum over rows would become smaller."""


def most(tape: Tape, number: int) -> int:
    """The largest n for which every n-th row leaves enough of a program's batch; 1 if its rows are not known."""
    rows, targets = _rows(tape, number)
    least = SEQUENCES if targets >= MANY_TARGETS else LEAST_ROWS
    return max(1, rows // least)


def thinned(tape: Tape, every: int) -> Tape:
    """The same passes with every n-th row; the tape itself if the rows cannot be told apart."""
    number = main_program(tape)
    target, tensors = Task.read(tape, number).target, dict(tape.tensors)
    if target is None:
        return tape

    def few(p: Pass) -> Pass:
        if p.program != number or not tape.tensors[p.outside[target]].dim():
            return p
        size = len(tape.tensors[p.outside[target]])
        return msgspec.structs.replace(p, outside=tuple(_cut(key, size) for key in p.outside))

    def _cut(key: str, size: int) -> str:
        whole = tape.tensors[key]
        # A recurrent layer's first state: zeros, with the batch along the second axis.
        state = whole.dim() > 1 and whole.shape[1] == size != len(whole) and not bool(whole.any())
        if size < 2 or not (state or (whole.dim() and len(whole) == size)):
            return key
        tensors.setdefault(f"{key}/{every}", whole[:, ::every] if state else whole[::every])
        return f"{key}/{every}"

    new = msgspec.structs.replace(tape, passes=tuple(map(few, tape.passes)), tensors=tensors)
    return new if _is_a_mean(tape, new, number) else tape


def _rows(tape: Tape, number: int) -> tuple[int, int]:
    """The rows of a program's first batch, and the targets of each."""
    target = Task.read(tape, number).target
    first = next((p for p in tape.passes if p.program == number), None)
    if target is None or first is None:
        return 0, 0
    held = tape.tensors[first.outside[target]]
    return (len(held), held[0].numel()) if held.dim() and len(held) else (0, 0)


def _is_a_mean(tape: Tape, new: Tape, number: int) -> bool:
    """Whether a batch's loss keeps its size: else a rate would mean something else."""
    start = {p.name: tape.start(p.name) for p in tape.parameters}
    one = next(p for p in new.passes if p.program == number)
    program = tape.programs[number]
    with torch.no_grad():
        values = run(program, start, tuple(new.tensors[k] for k in one.outside), {})
    few, whole = abs(float(values[program.loss].float().sum())), abs(one.loss)
    return few >= SAME_SIZE * whole or whole == 0
