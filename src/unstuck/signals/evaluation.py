"""The trained network on the batches of the script's own last evaluation, scored like the training.

If only the evaluation is wrong (its mode, its running statistics, a dimension), the training score is high and this one
is low.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.counted import CONJUNCTIONS, counting
from unstuck.signals.task import Task, main_program
from unstuck.signals.yardstick import Yardstick, fitted, yardstick
from unstuck.tape.interpreter import CannotReplay, run
from unstuck.tape.model import Evaluation, Tape
from unstuck.tape.ops import of
from unstuck.tape.program import Outside, Program, Ref, Value, Weight
from unstuck.tape.task import handed_on

ARITHMETIC = frozenset({*of("add").names, *of("sub").names, *of("mul").names, *of("div").names, "rsub"})
"""Calls by which an evaluation turns standardised outputs back into the units of its report."""
PICKING = frozenset({"topk", "sort"})
"""Calls that give positions, beside those that are flat."""
GATHERING = frozenset({"cat", "concat", "concatenate"})
LEAST_ROWS = 3
STRAIGHT = 1e-2
"""Largest distance from the line, relative to the spread: rounding of large numbers in float32 stays below it."""
Changed = Callable[[str, Tensor], Tensor]
"""What takes the place of a tensor that enters an evaluation, by its key."""


@dataclass(frozen=True)
class FinalEvaluation:
    """The metric over the evaluations that follow the last training step."""

    score: float
    skill: float
    name: str
    """Of the metric."""
    rows: int
    """Evaluated batches."""

    @classmethod
    def read(cls, tape: Tape) -> FinalEvaluation:
        """The evaluations as they were made."""
        return cls.of(tape, _as_it_was)

    @classmethod
    def of(cls, tape: Tape, changed: Changed) -> FinalEvaluation:
        """The same with `changed` batches. Raises NotApplicable where there are none or their targets are unknown."""
        number, task = main_program(tape), Task.read(tape)
        last = [e for e in tape.evaluations if e.after == len(tape.passes)]
        if not last or len(tape.losses) != len(tape.passes) or task.output is None:
            raise NotApplicable("no evaluation after the last training step is on the tape")
        yard = yardstick(tape, number, task)
        made = [(output, wanted) for _, _, output, wanted in answers(tape, changed)]
        parts = [p for output, wanted in made if (p := _rows(yard, task, output, wanted)) is not None]
        if not parts:
            raise NotApplicable("the last evaluation's targets are not known")
        score = yard.score(torch.stack(parts).sum(0))
        return cls(float(score), float(yard.skill(score)), yard.name, len(parts))


def _as_it_was(key: str, tensor: Tensor) -> Tensor:
    return tensor


def answers(tape: Tape, changed: Changed = _as_it_was) -> Iterator[tuple[Program, tuple[Tensor, ...], Tensor, Tensor]]:
    """The evaluations after the last training step: program, batch, the trained network's output, what is wanted."""
    number, task = main_program(tape), Task.read(tape)
    for evaluation in tape.evaluations:
        if evaluation.after == len(tape.passes):
            outside = tuple(changed(k, tape.tensors[k]) for k in evaluation.outside)
            if (found := _answer(tape, number, task, evaluation, outside)) is not None:
                yield found


def _gathered(program: Program, output: Value) -> Value | None:
    """The answers of all batches, where an evaluation puts this one's behind those of the batches before."""
    for call in program.users(output):
        first = next(iter(call.refs()), None)
        if call.name in GATHERING and call.outs and call.argument(1, "dim", 0) == 0 and isinstance(first, Outside):
            return Value(call.outs[0])
        if call.op.hands_on == "all" and call.outs and (found := _gathered(program, Value(call.outs[0]))) is not None:
            return found
    return None


def _rows(yard: Yardstick, task: Task, output: Tensor, wanted: Tensor) -> Tensor | None:
    try:
        return yard.rows(task, fitted(task, output, wanted).unsqueeze(0), wanted)[0]
    except (RuntimeError, IndexError, TypeError, ValueError):
        return None


def _answer(
    tape: Tape, number: int, task: Task, evaluation: Evaluation, outside: tuple[Tensor, ...]
) -> tuple[Program, tuple[Tensor, ...], Tensor, Tensor] | None:
    program = tape.programs[evaluation.program]
    output = handed_on(tape.programs[number], task.output, program) if task.output is not None else None
    if reads_own_choices(program) and not reads_own_choices(tape.programs[number]):
        return None  # one answer follows from the last one: what was asked for belongs to the choices, not to the rows
    output = output and (_gathered(program, output) or output)
    if output is None or target_of(program, output, outside, -1) is None:
        return None
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            values = run(program, final_weights(tape, program), outside, {})
        target = target_of(program, output, outside, len(values[output.id]))
        if target is None:
            return None
        wanted = _wanted(tape, program, replace(task, target=target), outside)
        met = meeting(program, output, target)
        if met is None and task.kind == "regression" and not _compared(program, output, Outside(target)):
            return None  # both are made into something else before they meet: the target is not what is asked for
        if wanted is not None:
            wanted = _unpaired(program, target, wanted, values[output.id])
        if met is not None:
            wanted = in_units(wanted, values[output.id], values[met.id])
        return None if wanted is None else (program, outside, values[output.id], wanted)
    except (CannotReplay, RuntimeError, IndexError, KeyError, TypeError, ValueError):
        return None


def reads_own_choices(program: Program) -> bool:
    """Whether weights read what the network itself chose before (tokens that are decoded one after the other)."""
    chosen: set[int] = set()
    for call in program.calls:
        read = {ref.id for ref in call.refs() if isinstance(ref, Value)}
        if read & chosen and call.weights():
            return True
        if call.op.cuts == "flat" or call.name in PICKING or (read & chosen and not call.weights()):
            chosen.update(call.outs)
    return False


def _compared(program: Program, output: Value, target: Ref, depth: int = 4) -> bool:
    """Whether the output and a target meet in one call, each of them reshaped at most."""
    for call in program.users(target):
        beside = [r for r in call.refs() if isinstance(r, Value) and r != target]
        if any(_is_output(program, output, ref) for ref in beside):
            return True
        on = depth and not beside and call.op.hands_on and call.outs
        if on and _compared(program, output, Value(call.outs[0]), depth - 1):
            return True
    return False


def _is_output(program: Program, output: Value, ref: Value) -> bool:
    for value, call in program.back(ref):
        if value == output:
            return True
        if not call.op.hands_on:
            return False
    return False


def meeting(program: Program, output: Value, target: int) -> Value | None:
    """What arithmetic makes of the output before it meets the target (the units of a report); None if it is itself."""
    beside = [r for r in program.users(Outside(target))[0].refs() if isinstance(r, Value)]
    if len(beside) != 1:
        return None
    met, steps, at = beside[0], 0, beside[0]
    while at != output:
        call = program.maker(at)
        before = [r for r in call.refs() if isinstance(r, Value)] if call is not None else []
        if call is None or len(before) != 1 or not (call.name in ARITHMETIC or call.op.hands_on in ("all", "some")):
            return None
        at, steps = before[0], steps + (call.name in ARITHMETIC)
    return met if steps else None


def in_units(wanted: Tensor, output: Tensor, met: Tensor) -> Tensor | None:
    """Targets that `met` is compared with, in the units of the output; None unless one line per column leads there."""
    columns = output.shape[-1] if output.dim() > 1 else 1
    if not (wanted.numel() == output.numel() == met.numel()) or len(output) < LEAST_ROWS:
        return None
    out, seen, told = (x.detach().double().reshape(-1, columns) for x in (output, met, wanted))
    centred = out - out.mean(0)
    slope = (centred * (seen - seen.mean(0))).sum(0) / centred.square().sum(0)
    start = seen.mean(0) - slope * out.mean(0)
    straight = (seen - slope * out - start).abs().amax(0) <= STRAIGHT * seen.std(0)
    if not bool((straight & slope.isfinite() & (slope != 0)).all()):
        return None
    return ((told - start) / slope).to(output.dtype).reshape(output.shape)


def _wanted(tape: Tape, program: Program, task: Task, outside: tuple[Tensor, ...]) -> Tensor:
    """The targets, of which those count that reach the result of this program."""
    assert task.target is not None
    own = counting(tape, program, program.users(Outside(task.target))[0], task.target, outside)
    counts = own.of(outside.__getitem__) if own is not None else None
    some = counts is not None and bool(counts.any())  # a result without gradient tells nothing
    return replace(task, counting=own if some else None).wanted(outside.__getitem__)


def _unpaired(program: Program, target: int, wanted: Tensor, output: Tensor) -> Tensor:
    """Targets that stand for the rows of a confusion matrix, whose cells `target * classes + answer` numbers."""
    meets = program.users(Outside(target))[0]
    classes = output.shape[1] if output.dim() > 1 else 0
    if classes < 2 or wanted.is_floating_point() or meets.name not in of("add").names:
        return wanted
    numbered = bool((wanted % classes == 0).all()) and int(wanted.max()) >= classes
    return wanted // classes if numbered else wanted


def final_weights(tape: Tape, program: Program) -> dict[str, Tensor]:
    """The weights that a program reads, as the run left them."""
    return {name: tape.tensors[f"f:{name}"] for name in program.weights()}


def target_of(program: Program, output: Value, outside: tuple[Tensor, ...], rows: int = 0) -> int | None:
    """The slot of the targets: the first with a row for each output that no call reads beside a weight, or makes the
    output of.

    `rows` of the output on this batch; -1 for any number, 0 for as many as when the program was first run.
    """
    entering = {*map(id, program.leading_to(output))}
    inputs = {
        r for c in program.calls if id(c) in entering or any(isinstance(w, Weight) for w in c.refs()) for r in c.refs()
    }
    maker = program.maker(output)
    rows = rows or (maker.shape[0] if maker and maker.shape else -2)
    for call in program.calls:
        masks = call.op.hands_on == "some" or call.name in CONJUNCTIONS  # what rows are picked by is no answer
        joins = call.name in GATHERING  # nor are the answers of the batches before
        for ref in call.refs() if not (masks or joins) else ():
            if isinstance(ref, Outside) and ref not in inputs and rows in (-1, *outside[ref.slot].shape[:1]):
                return ref.slot
    return None
