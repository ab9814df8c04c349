"""A few rows of a recorded batch as a step of their own, for experiments that train on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.micro.step import REFUSED, Recorded, Step, draws
from unstuck.signals.task import Task, main_program

LOOKED_AT = 8
"""Batches among which one with different targets is looked for."""
APART, WIDE = 0.5, 3.0
"""Units are right where a mean is within APART of 0 and a spread within a factor WIDE of 1: they stay."""
SAME = 1e-3
"""Relative difference of outputs up to which a row's output does not depend on how many rows the batch has."""


@dataclass(frozen=True)
class Few:
    """A step over `rows` rows (0 where they are not known)."""

    step: Step
    rows: int

    def at_unit_scale(self, task: Task) -> Few | None:
        """The same rows with standardised numbers: per column of a table, else over everything; None where inputs and
        targets (of a regression) have unit scale already."""
        numbers = task.target is None or (task.kind == "regression" and task.scale == "value")
        targets, scaled = () if numbers else task.slots, self.step
        for slot, tensor in enumerate(self.step.outside):
            numeric = tensor.is_floating_point() and tensor.dim() > 0
            if slot in targets or not numeric or self.rows not in (0, len(tensor)):
                continue
            if (unit := standardised(tensor)) is not None:
                scaled = scaled.given(slot, unit)
        return Few(scaled, self.rows) if scaled is not self.step else None


def standardised(tensor: Tensor) -> Tensor | None:
    """The numbers at mean 0 and spread 1; None where they are near that, or not finite."""
    axes = (0,) if tensor.dim() == 2 and tensor.shape[1] > 1 else tuple(range(tensor.dim()))
    mean, spread = tensor.double().mean(axes, keepdim=True), tensor.double().std(axes, keepdim=True, correction=0)
    near = (mean.abs() <= APART * spread.clamp(min=1)) & ((spread > 1 / WIDE) & (spread < WIDE) | (spread == 0))
    if not bool(torch.isfinite(tensor).all()) or bool(near.all()):
        return None
    return ((tensor.double() - mean) / spread.where(spread > 0, 1.0)).to(tensor.dtype)


def few_rows(recorded: Recorded, task: Task, most: int) -> Few:
    """`most` rows of the first recorded batch whose targets differ, spread over its targets; the whole batch where it
    cannot be cut. Raises NotApplicable where every batch has one target, CannotReplay where no step can be run."""
    number = main_program(recorded.tape)
    passes = [i for i, p in enumerate(recorded.tape.passes) if p.program == number][:LOOKED_AT]
    if task.target is None:
        return Few(recorded.step(passes[0]), 0)
    for at in passes:
        step = recorded.step(at)
        if len(step.outside[task.target].unique()) > 1:
            return _cut(step, task, most)
    raise NotApplicable("every recorded batch has one and the same target")


def _cut(step: Step, task: Task, most: int) -> Few:
    assert task.target is not None and task.output is not None
    target = step.outside[task.target]
    rows = target.shape[0]
    whole = Few(step, rows)
    maker = next(c for c in step.program.calls if task.output in c.outs)
    if rows <= most or not maker.shape or maker.shape[0] != rows:
        return whole
    chosen = _chosen(step, task, most)
    whose = lambda slot, t: t.dim() and t.shape[0] == rows and slot not in step.program.states
    cut = step.with_(outside=tuple(t[chosen] if whose(n, t) else t for n, t in enumerate(step.outside)))
    return Few(cut, len(chosen)) if _same_outputs(step, cut, chosen, task.output) else whole


def _chosen(step: Step, task: Task, most: int) -> Tensor:
    """Numbers of rows spread evenly over the sorted targets, without rows whose inputs are the same."""
    assert task.target is not None
    target = step.outside[task.target]
    order = target.reshape(target.shape[0], -1)[:, 0].argsort(stable=True)
    spread = order[torch.linspace(0, len(order) - 1, most, device=order.device).round().long()]
    met, kept = set[bytes](), []
    for row in spread.tolist():
        if (key := b"".join(_bytes(step, task, row))) not in met:
            met.add(key)
            kept.append(row)
    return torch.tensor(kept, device=target.device)


def _bytes(step: Step, task: Task, row: int) -> Iterator[bytes]:
    rows = step.outside[task.target or 0].shape[0]
    for slot, tensor in enumerate(step.outside):
        if slot not in task.slots and slot not in step.program.states and tensor.dim() and tensor.shape[0] == rows:
            yield tensor[row].detach().double().cpu().numpy().tobytes()


def _same_outputs(step: Step, cut: Step, chosen: Tensor, output: int) -> bool:
    """Whether the few rows can be run, and get the outputs that they get in the whole batch (unless rows are drawn for,
    or normalised together)."""
    try:
        few = cut.values({output, cut.program.loss})[output]
    except REFUSED:
        return False
    if few.dim() == 0 or few.shape[0] != len(chosen):
        return False
    if draws(step.program) or any(call.name == "batch_norm" for call in step.program.calls):
        return True
    whole = step.values({output})[output][chosen]
    return whole.shape == few.shape and bool((whole - few).abs().max() <= SAME * whole.abs().max().clamp(min=1e-6))
