"""Whether a loss rewards some rows and punishes others, as a policy gradient does: no score belongs to such a task.

Such a term is a product of what the network says of a row (a log-probability, a ratio of probabilities: numbers of one
sign) with a number that is not learnt there (an advantage: of either sign), and the loss is linear in it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unstuck.tape.abstract import Knowns
from unstuck.tape.interpreter import CannotReplay, run
from unstuck.tape.program import Call, Outside, Program, Ref, Value, Weight

PASSING = frozenset({"sum", "mean", "nanmean", "neg", "add", "sub", "rsub", "mul", "div", "amin", "min", "minimum"})
"""Calls that a reward stays a reward behind: linear ones, and the smaller of two (the clipped ratio of PPO)."""
LARGER = frozenset({"max", "maximum"})
"""Calls behind which it stays one where both terms are learnt: the clipped ratio again, with its sign turned first. The
larger of a term and 0 is a hinge."""
EITHER = 0.02
"""Share of factors of the rarer sign: advantages are centred, weights of rows and masks are never negative."""


def rewards(program: Program, weights: dict[str, Tensor], outside: tuple[Tensor, ...]) -> bool:
    """Whether the loss of a program has such a term, on one recorded batch; false where that cannot be computed."""
    known = Knowns(program)
    terms = [c for c in program.calls if _weighs(c, known) and _reaches(program, c, known)]
    return any(_both(program, call, known, weights, outside) for call in terms)


def _weighs(call: Call, known: Knowns) -> bool:
    """Whether a call multiplies many learnt numbers by as many that are not learnt."""
    refs = call.refs()
    product = call.op.name == "mul" and len(refs) == 2 and call.grad and bool(call.shape)
    return product and sum(known[r].taught for r in refs) == 1


def _reaches(program: Program, call: Call, known: Knowns) -> bool:
    """Whether the loss is linear in what a call makes."""
    reached, refs = {call.outs[0]}, set(call.outs)
    for later in program.after(call):
        read = [r for r in later.refs() if isinstance(r, Value) and r.id in refs]
        refs.update(later.outs)
        if any(r.id in reached for r in read) and _passes(later, known):
            reached.update(later.outs)
    return program.loss in reached


def _passes(call: Call, known: Knowns) -> bool:
    if call.op.name in LARGER:
        return len(call.refs()) == 2 and all(known[r].taught for r in call.refs())
    return call.op.name in PASSING or bool(call.op.hands_on)


def _both(program: Program, call: Call, known: Knowns, weights: dict[str, Tensor], outside: tuple[Tensor, ...]) -> bool:
    """Whether the learnt numbers have one sign, and those that weigh them either."""
    learnt, factor = sorted(call.refs(), key=lambda ref: not known[ref].taught)
    by = _numbers(program, factor, weights, outside)
    shares = (float((by > 0).double().mean()), float((by < 0).double().mean())) if by.numel() > 1 else (0.0,)
    if min(shares) < EITHER:
        return False
    low, high = known[learnt].bounds
    if low >= 0 or high <= 0:
        return True
    said = _numbers(program, learnt, weights, outside)
    return said.numel() > 0 and bool((said <= 0).all() or (said >= 0).all())


def _numbers(program: Program, ref: Ref, weights: dict[str, Tensor], outside: tuple[Tensor, ...]) -> Tensor:
    """The numbers behind a ref; none where the calls that make them cannot be run."""
    if isinstance(ref, Outside):
        return outside[ref.slot].detach()
    if isinstance(ref, Weight):
        return weights[ref.name].detach()
    if not isinstance(ref, Value):
        return torch.zeros(0)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return run(behind(program, ref), weights, outside, {}, kept=(ref.id,))[ref.id]
    except (CannotReplay, RuntimeError, IndexError, KeyError, TypeError, ValueError):
        return torch.zeros(0)


def behind(program: Program, ref: Value) -> Program:
    """The calls that a value needs, and no others."""
    wanted, calls = {ref.id}, []
    for call in reversed(program.calls):
        if wanted & set(call.outs):
            calls.append(call)
            wanted |= {r.id for r in call.refs() if isinstance(r, Value)}
    return Program(tuple(reversed(calls)), ref.id, program.slots)
