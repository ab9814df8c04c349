"""What the network is asked to do: read from the loss it is given and the targets that meet it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.likelihood import likelihood
from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Call, Outside, Program, Ref, Value, Weight

Kind = Literal["binary", "classes", "multilabel", "regression", "unknown"]
Scale = Literal["probability", "logit", "log-probability", "value"]

LOSSES: dict[str, Scale] = {
    "binary_cross_entropy": "probability",
    "binary_cross_entropy_with_logits": "logit",
    "multilabel_soft_margin_loss": "logit",
    "soft_margin_loss": "logit",
    "cross_entropy": "logit",
    "nll_loss": "log-probability",
    "nll_loss_nd": "log-probability",
    "mse_loss": "value",
    "l1_loss": "value",
    "smooth_l1_loss": "value",
    "huber_loss": "value",
    "poisson_nll_loss": "value",
    "gaussian_nll_loss": "value",
    "kl_div": "log-probability",
}
"""Loss functions by name, and the scale on which each takes the network's output."""
DIFFERENCES = {"sub", "subtract", "rsub"}
RESCALING = {"sub", "add", "mul", "div", "true_divide"}
MOST_CLASSES = 1000


@dataclass(frozen=True)
class Task:
    """The task of one program: which value is the output, which slot the target."""

    kind: Kind
    scale: Scale
    output: int | None
    """The value that the loss is given (None where the task is unknown)."""
    target: int | None
    """The slot of the target."""
    loss: Call | None = None
    classes: int = 0

    @property
    def metric(self) -> str:
        """The yardstick's name."""
        return {"regression": "r2", "unknown": "loss"}.get(self.kind, "accuracy")

    @classmethod
    def read(cls, tape: Tape, number: int | None = None) -> Task:
        """The task of a program; by default of the one that runs most often."""
        number = main_program(tape) if number is None else number
        first = next(p for p in tape.passes if p.program == number)
        outside = tuple(tape.tensors[k] for k in first.outside)
        return task_of(tape.programs[number], outside, lambda slot: _values(tape, number, slot))


def main_program(tape: Tape, passes: tuple[Pass, ...] | None = None) -> int:
    """The number of the program with most passes (of the tape, or of these); NotApplicable where there is none."""
    counts: dict[int, int] = {}
    for p in tape.passes if passes is None else passes:
        if tape.programs[p.program].loss >= 0:
            counts[p.program] = counts.get(p.program, 0) + 1
    if not counts:
        raise NotApplicable("no training step was recorded")
    return max(counts, key=lambda n: counts[n])


def handed_on(training: Program, output: int, program: Program) -> Value | None:
    """The output of the training step in another program: what the same line makes there, or the same calls."""
    made = []
    for call in training.calls:
        made.append(call)
        if output in call.outs:
            break
    lines = {(c.function, c.site) for c in made}
    alike = [c for c in program.calls if (c.function, c.site) in lines]
    found = alike[-1] if alike else _same_calls(made, program)
    return Value(found.outs[0]) if found else None


PASSING_ON = {"dropout", "alpha_dropout", "feature_dropout", "squeeze", "flatten", "view", "reshape", "ravel"}
"""Calls that an evaluation may do without and still have the training's output."""


def _same_calls(made: list[Call], program: Program) -> Call | None:
    """The call that comes last of a chain, where the chain's functions read the same weights elsewhere."""
    there, found = list(program.calls), None
    for call in made:
        place = next((n for n, c in enumerate(there) if _kin(c, call)), None)
        if place is not None:
            found, there = there[place], there[place + 1 :]
        elif call.name not in PASSING_ON:
            return None
    return found


def _kin(one: Call, other: Call) -> bool:
    return one.function == other.function and _read(one) == _read(other)


def _read(call: Call) -> list[str]:
    return [r.name for r in call.refs() if isinstance(r, Weight)]


def _values(tape: Tape, number: int, slot: int) -> Tensor | None:
    """A slot's tensors over the first passes of a program, in one; None where their shapes differ."""
    keys = dict.fromkeys([p.outside[slot] for p in tape.passes if p.program == number][:200])
    parts = [tape.tensors[k] for k in keys]
    alike = parts[0].dim() and all(part.shape[1:] == parts[0].shape[1:] for part in parts)
    return torch.cat(parts) if alike else None


def task_of(
    program: Program, outside: tuple[Tensor, ...], more: Callable[[int], Tensor | None] = lambda _: None
) -> Task:
    """The task of a program; `more` may give further rows of a slot than the one batch in `outside`."""
    call, output, target = _loss_call(program)
    if call is None and (by_hand := likelihood(program, outside)) is not None:
        rows = more(by_hand.target)
        value = outside[by_hand.target] if rows is None else rows
        kind, classes = _kind(by_hand.like, value, _shape(program, by_hand.output))
        return Task(kind, by_hand.scale, by_hand.output.id, by_hand.target, by_hand.call, classes)
    if output is None or target is None:
        return Task("unknown", "value", None, None, call)
    rows = more(target)
    value = outside[target] if rows is None else rows
    scale = LOSSES.get(call.name, "value") if call else "value"
    shape = _shape(program, output)
    kind, classes = _kind(call.name if call else "", value, shape)
    return Task(kind, scale, output.id, target, call, classes)


def _loss_call(program: Program) -> tuple[Call | None, Value | None, int | None]:
    named = [c for c in program.calls if c.name in LOSSES]
    for call in named:
        output, target = call.argument(0, "input"), call.argument(1, "target")
        if isinstance(output, Value) and isinstance(target, Outside):
            return call, output, target.slot
        if isinstance(target, Value) and isinstance(output, Outside):  # given the other way round
            return call, target, output.slot
        if isinstance(output, Value) and isinstance(target, Value):  # both in other units than the batch's
            bare = _in_units_of_the_batch(program, output, target)
            if bare is not None:
                return call, *bare
    if named:
        return named[0], None, None
    return _difference(program)


def _in_units_of_the_batch(program: Program, output: Value, target: Value) -> tuple[Value, int] | None:
    """Undo, on both sides, the same shifts and scalings by numbers, until the target is the batch's own."""
    mine: Ref = output
    theirs: Ref = target
    while isinstance(theirs, Value) and isinstance(mine, Value):
        left, right = program.maker(mine), program.maker(theirs)
        if left is None or right is None or left.name != right.name or left.name not in RESCALING:
            return None
        if len(left.refs()) != 1 or left.args[1:] != right.args[1:]:
            return None
        mine, theirs = left.refs()[0], right.refs()[0]
    return (mine, theirs.slot) if isinstance(mine, Value) and isinstance(theirs, Outside) else None


def _difference(program: Program) -> tuple[Call | None, Value | None, int | None]:
    """A hand-written residual: the only subtraction of an outside tensor from a value near the loss."""
    for call in reversed(program.calls):
        refs = call.refs()
        if call.name in DIFFERENCES and len(refs) == 2:
            value = next((r for r in refs if isinstance(r, Value)), None)
            outside = next((r for r in refs if isinstance(r, Outside)), None)
            if value is not None and outside is not None and not _meets_weights(program, call):
                return call, value, outside.slot
    return None, None, None


def _meets_weights(program: Program, call: Call) -> bool:
    """Whether what a call makes goes through further weights before it reaches the loss."""
    reach: set[Ref] = {Value(out) for out in call.outs}
    for later in program.calls:
        refs = later.refs()
        if any(r in reach for r in refs):
            if any(isinstance(r, Weight) for r in refs):
                return True
            reach |= {Value(out) for out in later.outs}
    return False


def _shape(program: Program, output: Value) -> tuple[int, ...]:
    maker = program.maker(output)
    return maker.shape if maker and maker.outs[0] == output.id else ()


def _kind(loss: str, target: Tensor, output: tuple[int, ...]) -> tuple[Kind, int]:
    if loss in ("cross_entropy", "nll_loss", "nll_loss_nd"):
        if _multi_hot(target, output):
            return "multilabel", 2
        return "classes", output[1] if len(output) > 1 else (output[0] if output else 0)
    if not target.numel():
        return "unknown", 0
    whole = bool((target == target.round()).all()) if target.is_floating_point() else True
    zero_one = whole and bool(((target == 0) | (target == 1)).all())
    wide = target.dim() > 1 and target.shape[-1] > 1
    if loss.startswith("binary_cross") or loss in ("soft_margin_loss", "multilabel_soft_margin_loss"):
        return ("multilabel" if wide else "binary"), 2
    if zero_one and wide and target.shape[-1] <= MOST_CLASSES and bool((target.sum(-1) == 1).all()):
        return "classes", target.shape[-1]
    if zero_one and not wide and bool(target.any()) and not bool(target.all()):
        return "binary", 2
    return "regression", 0


def _multi_hot(target: Tensor, output: tuple[int, ...]) -> bool:
    """Rows of zeros and ones of which several may be one: labels that do not exclude each other."""
    if not target.is_floating_point() or target.dim() < 2 or target.shape[1:] != output[1:]:
        return False
    zero_one = bool(((target == 0) | (target == 1)).all())
    return zero_one and not bool((target.sum(1) == 1).all())
