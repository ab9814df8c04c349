"""Rows of training and of the last evaluation on one path: the recorded training step with the last weights.

A gap between a training loss and an evaluation's may lie in the evaluation itself: other preparation, other weights,
other statistics. On the path of the training, in training mode and in evaluation mode, only the rows differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from statistics import mean

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.evaluation import answers
from unstuck.signals.overlap import Overlap
from unstuck.signals.task import Task, main_program
from unstuck.tape.interpreter import CannotReplay, run
from unstuck.tape.model import Tape
from unstuck.tape.modes import in_evaluation
from unstuck.tape.program import Call, Outside, Program

BATCHES = 8
"""Of either kind, at most: a few tell a factor of two."""
FACTOR, APART, MANY = 4.0, 4.0, 0.25
"""Inputs are prepared otherwise where a quarter of the features differ by so much in spread, or in mean, as a
distance in training deviations: of random splits of 20 rows one in a million does."""
REFUSED = (CannotReplay, RuntimeError, IndexError, KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class TrainingPath:
    """Mean losses on the training step's path: (as recorded, in evaluation mode) each."""

    trained: tuple[float, float]
    """Of the last batches of the training."""
    asked: tuple[float, float]
    """Of the rows of the last evaluation."""

    @classmethod
    def read(cls, tape: Tape) -> TrainingPath:
        """NotApplicable where the rows of the evaluation do not fit the step, or are not rows of the same kind."""
        number, task = main_program(tape), Task.read(tape)
        if task.output is None or task.target is None:
            raise NotApplicable("the network's output or its target is not known")
        _alike(tape)
        passes = [p for p in tape.passes if p.program == number][-BATCHES:]
        trained = [tuple(tape.tensors[key] for key in p.outside) for p in passes]
        asked = list(islice(_asked(tape, tape.programs[number], task.target, trained[-1]), BATCHES))
        if not asked:
            raise NotApplicable("no evaluation's rows fit the training step")
        ways = (tape.programs[number], in_evaluation(tape.programs[number]))
        weights = {name: tape.tensors[f"f:{name}"] for name in ways[0].weights() if f"f:{name}" in tape.tensors}
        try:
            both = [[mean(_loss(way, weights, rows) for rows in kind) for way in ways] for kind in (trained, asked)]
        except REFUSED as error:
            raise NotApplicable(f"its step cannot be run again ({type(error).__name__})") from error
        return cls((both[0][0], both[0][1]), (both[1][0], both[1][1]))

    def apart(self, factor: float, least: float) -> bool:
        """Whether the rows of the evaluation cost so many times more in both modes, and at least so much more."""
        pairs = zip(self.trained, self.asked, strict=True)
        return all(asked > factor * max(trained, 0.0) and asked - trained > least for trained, asked in pairs)


def _alike(tape: Tape) -> None:
    try:
        shift, ratio = Overlap.read(tape).spread()
    except NotApplicable:  # indices, or too few rows: nothing says that they are prepared otherwise
        return
    other = (ratio > FACTOR) | (ratio < 1 / FACTOR) | (shift > APART)
    if len(ratio) and float(other.double().mean()) >= MANY:
        raise NotApplicable("the inputs of the evaluation are prepared otherwise than those of the training")


def _asked(tape: Tape, training: Program, target: int, form: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, ...]]:
    """The evaluations' rows in the slots of the training step, as many as a batch has."""
    size = len(form[target]) if form[target].dim() else 0
    for program, outside, _, wanted in answers(tape):
        if set(program.weights()) <= set(training.weights()):
            slots = {slot: same_slot(training, slot, program) for slot in range(len(form)) if slot != target}
            rows = {slot: outside[there] for slot, there in slots.items() if there is not None}
            placed = [wanted if slot == target else rows.get(slot) for slot in range(len(form))]
            whole = [_fitted(x, like, size) for x, like in zip(placed, form, strict=True)]
            if size and all(x is not None for x in whole):
                yield tuple(x for x in whole if x is not None)


def _fitted(rows: Tensor | None, like: Tensor, size: int) -> Tensor | None:
    """Rows in the form of a batch; what has no row for each is the same in training."""
    if not like.dim() or len(like) != size:
        return like
    if rows is None or not rows.dim() or not len(rows) or rows.numel() // len(rows) * size != like.numel():
        return None
    return rows[torch.arange(size) % len(rows)].reshape(like.shape).to(like.dtype)


def _loss(program: Program, weights: dict[str, Tensor], outside: tuple[Tensor, ...]) -> float:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return float(run(program, weights, outside, {}, kept={program.loss})[program.loss].double().sum())


def same_slot(training: Program, slot: int, program: Program) -> int | None:
    """The slot of another program that is read like a slot of the training: by the same call, beside the same
    weights."""
    readers = {_reader(call, n) for call in training.users(Outside(slot)) for n in _places(call, Outside(slot))}
    for call in program.calls:
        for n, ref in enumerate(call.refs()):
            if isinstance(ref, Outside) and _reader(call, n) in readers:
                return ref.slot
    return None


def _places(call: Call, ref: Outside) -> Iterator[int]:
    return (n for n, other in enumerate(call.refs()) if other == ref)


def _reader(call: Call, place: int) -> tuple[object, ...]:
    return call.function, tuple(call.weights()), place
