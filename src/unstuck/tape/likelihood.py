"""A cross-entropy written by hand: the logarithm of a probability, picked (or weighed) by a target from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from unstuck.tape.direction import way
from unstuck.tape.program import Call, Outside, Program, Value

LOGARITHMS = {"log", "log2", "log10"}
ROUNDING = 1e-3
"""Of a sum of shares, also in half precision."""
CORRECTIONS = {"add", "clamp", "clip"}
"""Calls that keep a logarithm finite: a small number added, bounds."""


@dataclass(frozen=True)
class Likelihood:
    """The call that picks the right answer's logarithm, and what takes the place of a loss's output and target."""

    call: Call
    output: Value
    target: int
    scale: Literal["probability", "log-probability"]
    like: str
    """The loss of torch that does the same."""


def likelihood(program: Program, outside: tuple[Tensor, ...]) -> Likelihood | None:
    """The first such call whose result reaches the loss unweighted (weighted by a return, it is a policy gradient)."""
    for call in program.calls:
        if call.name in ("getitem", "gather", "take_along_dim"):
            found = _picked(program, call, outside)
        elif call.name in ("mul", "rmul"):
            found = _weighed(program, call, outside)
        else:
            continue
        if found is not None and way(program, Value(call.outs[0])) is not None:
            return found
    return None


def _picked(program: Program, call: Call, outside: tuple[Tensor, ...]) -> Likelihood | None:
    """`log_p[torch.arange(n), y]` and `log_p.gather(1, y)`, also as `Categorical(logits=...).log_prob(y)` does it."""
    first, *others = [program.source(r, _by_place) for r in call.refs()] or [None]
    logarithm = program.maker(first) if first is not None else None
    slots = [r.slot for r in others if isinstance(r, Outside)]
    if logarithm is None or not _logarithmic(program, logarithm) or not slots or len(logarithm.shape) != 2:
        return None
    target = outside[slots[-1]]
    if target.is_floating_point() or target.numel() != logarithm.shape[0]:
        return None
    return Likelihood(call, Value(logarithm.outs[0]), slots[-1], "log-probability", "nll_loss")


def _by_place(call: Call) -> bool:
    """Whether a call leaves every number as it is; `torch.distributions` passes all it is given through some."""
    return call.op.hands_on in ("all", "some")


def _logarithmic(program: Program, call: Call) -> bool:
    """A logarithm, or a log-softmax written out: `x - x.logsumexp(...)`."""
    if call.name != "sub":
        return call.name in LOGARITHMS or call.op.gives == "log-probability"
    refs = call.refs()
    norm = program.maker(refs[1]) if len(refs) == 2 and isinstance(refs[1], Value) else None
    return norm is not None and norm.name == "logsumexp" and norm.refs()[:1] == refs[:1]


def _weighed(program: Program, call: Call, outside: tuple[Tensor, ...]) -> Likelihood | None:
    """`(shares * log_p).sum(1)`, and the half of a binary cross-entropy that a target of one takes: `y * log(p)`."""
    values = [r for r in call.refs() if isinstance(r, Value)]
    slots = [r.slot for r in call.refs() if isinstance(r, Outside)]
    logarithm = program.maker(values[0]) if len(values) == 1 and len(slots) == 1 else None
    known = logarithm is not None and logarithm.name != "sub" and _logarithmic(program, logarithm)
    if logarithm is None or not known or tuple(outside[slots[0]].shape) != logarithm.shape:
        return None
    target = outside[slots[0]]
    if _distributions(target):
        return Likelihood(call, Value(logarithm.outs[0]), slots[0], "log-probability", "nll_loss")
    if not bool(((target == 0) | (target == 1)).all()):
        return None
    chance = _probability(program, logarithm)
    if chance is None:
        return None
    return Likelihood(call, chance, slots[0], "probability", "binary_cross_entropy")


def _distributions(target: Tensor) -> bool:
    """Whether each row holds the shares of the classes: one of them, or several that are softened or mixed."""
    wide = target.dim() == 2 and target.shape[1] > 1 and bool((target >= 0).all())
    return wide and bool(((target.sum(1) - 1).abs() <= ROUNDING).all())


def _probability(program: Program, logarithm: Call) -> Value | None:
    """What the logarithm was taken of, without the small number that keeps it finite."""
    if logarithm.name != "log":
        return None
    ref = program.source(logarithm.refs()[0], lambda c: c.op.hands_on or c.name in CORRECTIONS)
    call = program.maker(ref) if isinstance(ref, Value) else None
    return ref if isinstance(ref, Value) and call is not None and call.name == "sigmoid" else None
