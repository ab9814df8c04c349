"""The moves on a program that remedies share: which call made what, and one call in the place of another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import torch
from torch import Tensor

from unstuck.diagnosis.model import Site
from unstuck.remedies.treatment import CannotApply, Trial
from unstuck.tape.program import Call, Program, Ref, Value


def source_of(program: Program, ref: Ref | None) -> Call | None:
    """The call that made a value, before the calls that only hand it on."""
    return program.maker(program.source(ref))


def given(call: Call, position: int, keyword: str) -> Ref | None:
    """The tensor given as an argument."""
    found = call.argument(position, keyword)
    return found if isinstance(found, Ref) else None


def changed(call: Call, **fields: Any) -> Call:
    """The call with some fields changed."""
    return msgspec.structs.replace(call, **fields)


def made(function: str, out: int, *args: Any, like: Call, **kwargs: Any) -> Call:
    """A new call with one result, standing where another stands."""
    return Call(function, args, kwargs, (out,), like.sites, like.grad, like.shape)


def at(call: Call, site: Site | None) -> bool:
    """Whether the person's innermost line of a call is a site (any call is, where no site is given)."""
    return site is None or call.site == site


def followed(program: Program, call: Call, function: str, *args: Any) -> Program:
    """The program with a function applied to a call's result, for all that read it."""
    out = program.fresh()
    new = made(function, out, Value(call.outs[0]), *args, like=call)
    readers = program.users(Value(call.outs[0]))
    turned = program.redirected(Value(call.outs[0]), Value(out), readers)
    turned = msgspec.structs.replace(turned, loss=out if program.loss == call.outs[0] else turned.loss)
    return turned.replaced(next(c for c in turned.calls if c.outs == call.outs), call, new)


def everywhere(trial: Trial, change: Callable[[Program], Program], otherwise: str) -> Trial:
    """The trial with each program changed; CannotApply where that changed none of them."""
    changed_trial = trial.over_programs(change)
    if changed_trial.programs == trial.programs:
        raise CannotApply(otherwise)
    return changed_trial


def noted(trial: Trial, name: str) -> Trial:
    """The trial with the remedy's name among those it has had."""
    return trial.with_(remedies=(*trial.remedies, name))


def cleared_too(trial: Trial, names: Iterable[str]) -> Trial:
    """The trial in which the optimizer's zero_grad() reaches weights that it did not hold, as it does the others."""
    stale = {name for p in trial.tape.passes for name in p.stale}
    return trial.with_(clear=True) if stale and stale <= set(names) else trial


def held_by(trial: Trial, names: Iterable[str], optimizer: int) -> Trial:
    """The trial in which an optimizer holds these weights too (those of them that are on the tape)."""
    known = [n for n in names if n in trial.start]
    if not known or optimizer >= len(trial.options):
        raise CannotApply("none of the weights is on the tape, or no optimizer is")
    held = trial.holders | dict.fromkeys(known, (optimizer, 0))
    return cleared_too(trial, known).with_(holders=held)


def drawn(like: Tensor, shape: tuple[int, ...], inputs: int, generator: torch.Generator) -> Tensor:
    """A weight or bias of a layer with so many inputs as nn.Linear draws it: uniform within 1 / sqrt(inputs)."""
    return torch.empty(shape, dtype=like.dtype).uniform_(-(inputs**-0.5), inputs**-0.5, generator=generator)


def root_of(name: str) -> str:
    """What a weight's name on the tape begins with: `model` of `model.fc.weight`, `self.net` of `self.net.0.bias`."""
    first, *rest = name.split(".")
    return f"{first}.{rest[0]}" if first == "self" and rest else first


def sites_of(calls: Iterable[Call]) -> tuple[Site, ...]:
    """The innermost sites of calls, each once."""
    return tuple(dict.fromkeys(c.site for c in calls if c.site is not None))


def activation_at(program: Program, site: Site, function: str) -> Call | None:
    """The last call of a function at a site: the layers of a Sequential share one, the output's is the last."""
    return next((c for c in reversed(program.calls) if c.name == function and c.site == site), None)


def raw_loss(program: Program) -> Program:
    """The program with each loss on probabilities turned into its form on raw outputs; the arguments are the same."""
    calls = (changed(c, function=RAW[c.name]) if c.name in RAW else c for c in program.calls)
    return msgspec.structs.replace(program, calls=tuple(calls))


RAW = {
    "binary_cross_entropy": "torch.nn.functional.binary_cross_entropy_with_logits",
    "nll_loss": "torch.nn.functional.cross_entropy",
}
