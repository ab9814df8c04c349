"""Whether a program, run again, gives the loss that was recorded."""

from __future__ import annotations

import torch
from torch import Tensor

from unstuck.remedies.treatment import Trial
from unstuck.tape.interpreter import CannotReplay, Way, run

FAITHFUL = 1e-3
"""Largest relative difference between a replayed loss and the recorded one; beyond it, the replay is wrong."""
COARSE = {"bfloat16": 8e-3, "float16": 1e-3}
"""Under autocast, a few roundings of the smaller type: 2**-8 and 2**-11 each."""


def check(trial: Trial, main: int, literal: bool) -> None:
    """Raise CannotReplay unless the first recorded loss is reproduced (programs with dropout aside)."""
    if any("dropout" in call.name for call in trial.tape.programs[main].calls):
        return
    first, device = trial.tape.passes[0], torch.device(trial.device)
    program, constants = trial.tape.programs[first.program], dict[str, Tensor]()
    there = {name: weight.detach().to(device) for name, weight in trial.start.items() if name in program.weights()}
    outside = tuple(trial.tape.tensors[key].to(device) for key in first.outside)
    if program.differentiates or literal:
        outside = tuple(t.detach().clone() for t in outside)
    if program.differentiates:  # what it differentiates needs a graph
        for tensor in (*there.values(), *outside):
            tensor.requires_grad_(tensor.is_floating_point())
    with torch.set_grad_enabled(program.differentiates):
        values = run(program, there, outside, constants, Way(device, literal), {program.loss})
    got = float(values[program.loss].detach().float().sum())
    same = got == first.loss or (got != got and first.loss != first.loss)
    least = max([FAITHFUL, *(COARSE.get(call.cast, 0.0) for call in program.calls)])
    if not same and not abs(got - first.loss) <= least * max(abs(first.loss), 1e-6):
        raise CannotReplay(f"its first loss comes out as {got:.6g} instead of {first.loss:.6g}")
