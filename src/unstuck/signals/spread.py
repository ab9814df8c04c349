"""How far two evaluations of the same rows lie apart, where something in them is drawn at random."""

from __future__ import annotations

import torch
from torch import Tensor

from unstuck.signals.evaluation import final_weights
from unstuck.signals.task import Task, main_program
from unstuck.tape.interpreter import CannotReplay, run
from unstuck.tape.model import Evaluation, Tape
from unstuck.tape.program import Value
from unstuck.tape.task import handed_on


def spread(tape: Tape, evaluation: Evaluation) -> float | None:
    """RMS distance of two computations with different random numbers, relative to the outputs' deviation over rows.

    With the trained weights. None where the output is not known, the evaluation cannot be computed again, or its rows
    all get the same output.
    """
    task, program = Task.read(tape), tape.programs[evaluation.program]
    output = handed_on(tape.programs[main_program(tape)], task.output, program) if task.output is not None else None
    if output is None:
        return None
    try:
        first, second = (_output(tape, evaluation, output, seed) for seed in (0, 1))
    except (CannotReplay, RuntimeError, IndexError, KeyError, TypeError, ValueError):
        return None
    over_rows = float((first - first.mean(0)).square().mean().sqrt())
    return float((first - second).square().mean().sqrt()) / over_rows if over_rows > 0 else None


def _output(tape: Tape, evaluation: Evaluation, output: Value, seed: int) -> Tensor:
    program = tape.programs[evaluation.program]
    outside = tuple(tape.tensors[k] for k in evaluation.outside)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        return run(program, final_weights(tape, program), outside, {})[output.id].double()
