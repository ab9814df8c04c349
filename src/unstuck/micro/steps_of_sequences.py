"""Whether the rows of a loss are the steps of one sequence, along which a layer of the network runs by design.

A loss may be asked for one sentence after another: `criterion(out[i], target[i])`. What each of its terms calls rows
are then time steps. Seen in the program: a change of one step of a recurrent or attention layer's result reaches one
row of the output only, and a change of one of its sequences reaches other terms of the loss than a change of the rest.
"""

from __future__ import annotations

import torch

from unstuck.micro.step import Step
from unstuck.signals.task import Task
from unstuck.tape.interpreter import Values, Way, walk
from unstuck.tape.program import Call, Value

SEEN = 0.01
"""Of the largest change: kernels for other shapes round differently by 1e-5 or so."""


def follow(step: Step, task: Task, rows: int) -> bool:
    """Whether the input of each row is the target of the row before: a series that is to be continued."""
    if task.target is None:
        return False
    wanted = step.outside[task.target].reshape(rows, -1)
    others = (t for slot, t in enumerate(step.outside) if slot not in task.slots and t.numel() == wanted.numel())
    series = (t.reshape(rows, -1) for t in others if len(t.unique()) > 1)
    return any(torch.equal(given[1:].double(), wanted[:-1].double()) for given in series)


def are_steps(step: Step, task: Task, rows: int) -> bool:
    """Whether a layer runs along the rows of the loss, and each term of the loss takes sequences of its own."""
    terms = _terms(step, task)
    before = step.values(terms) if len(terms) > 1 else {}
    layers = ((c, _axes(c)) for c in step.program.calls if len(terms) > 1 and len(c.shape) == 3)
    for call, axes in layers:
        if axes is not None and call.shape[axes[0]] == rows and call.shape[axes[1]] > 1:
            first, rest = (_reached(before, _changed(step, call, axes[1], part, terms)) for part in _PARTS)
            apart = bool(first) and bool(rest) and not first & rest
            if apart and _one_row(before, _changed(step, call, axes[0], _PARTS[0], terms), task, rows):
                return True
    return False


_PARTS = (slice(0, 1), slice(1, None))
"""The first of an axis, and the rest."""


def _terms(step: Step, task: Task) -> set[int]:
    """What the calls of the same loss are given."""
    calls = (c for c in step.program.calls if task.loss is not None and c.name == task.loss.name)
    return {ref.id for c in calls for ref in c.refs()[:2] if isinstance(ref, Value)}


def _axes(call: Call) -> tuple[int, int] | None:
    """The axis of a layer's result along which it runs, and the one on which its sequences lie side by side."""
    match call.op.kind, call.name:
        case "recurrent", _ if isinstance(call.args[-1], bool):
            return (1, 0) if call.args[-1] else (0, 1)
        case "attention", "multi_head_attention_forward":
            return 0, 1
        case (("attention" | "product"), _) if not call.weights():
            return 1, 0
    return None


def _changed(step: Step, call: Call, axis: int, part: slice, terms: set[int]) -> Values:
    """What reaches the terms where a part of a call's result, along an axis, is another."""
    with torch.no_grad(), step.drawing():
        values: Values = {}
        for at, values in walk(step.program, step.weights, step.outside, {}, Way(step.device), terms):
            if at is call:
                turned = values[call.outs[0]].clone()
                turned.movedim(axis, 0)[part] += 1.0
                values[call.outs[0]] = turned
    return {number: values[number] for number in terms}


def _reached(before: Values, after: Values) -> set[int]:
    change = {number: float((value - before[number]).abs().max()) for number, value in after.items()}
    return {number for number, size in change.items() if size > SEEN * max(change.values())}


def _one_row(before: Values, after: Values, task: Task, rows: int) -> bool:
    """Whether just one row of the first term's output is another."""
    one, other = (values[task.output or 0].reshape(rows, -1) for values in (before, after))
    change = (other - one).abs().amax(1)
    return int((change > SEEN * change.max()).sum()) == 1
