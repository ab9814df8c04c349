"""The network's answers beside the targets: one row of outputs for each element of the target."""

from __future__ import annotations

import torch
from torch import Tensor

from unstuck.micro.step import Recorded, Step, Weights
from unstuck.signals.task import Task
from unstuck.tape.interpreter import Values


def last_weights(recorded: Recorded, step: Step) -> Weights | None:
    """The weights at the end of the run, of those that a step reads; None where they are not known or not finite."""
    ends = {name: recorded.tape.tensors.get(f"f:{name}") for name in step.weights}
    known = {name: end.to(recorded.device) for name, end in ends.items() if end is not None}
    usable = len(known) == len(ends) and all(
        bool(torch.isfinite(w).all()) for w in known.values() if w.is_floating_point()
    )
    return known if usable else None


def answers(task: Task, values: Values, target: Tensor) -> Tensor | None:
    """(elements of the target, C) outputs in the target's order, or (elements, 1); None where the shapes do not say."""
    if task.output is None or task.output not in values:
        return None
    out = values[task.output].float()
    if task.kind == "classes" and not target.is_floating_point() and out.dim() == target.dim() + 1:
        return out.movedim(1, -1).reshape(target.numel(), -1) if out.dim() > 1 else None
    return out.reshape(-1, 1) if out.numel() == target.numel() else None
