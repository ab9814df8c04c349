"""Widen the hidden layers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from unstuck.diagnosis.model import Trust
from unstuck.remedies._moves import argument, gathered
from unstuck.remedies._names import full_name
from unstuck.remedies._program import drawn, noted
from unstuck.remedies.treatment import CannotApply, CannotEdit, Treatment, Trial
from unstuck.source.origins import origins
from unstuck.source.text import Change, Place, Sources
from unstuck.tape.program import Call, Program, Weight

SEED = 21


class Widen(Treatment, frozen=True):
    """Every hidden linear layer gets at least `units` units."""

    name: ClassVar[str] = "widen"
    trust: ClassVar[Trust] = "likely"

    units: int

    def summary(self) -> str:
        return f"widen the hidden layers to at least {self.units} units"

    def apply(self, trial: Trial) -> Trial:
        grown = {name: how for p in trial.programs for name, how in _growing(p, trial.start, self.units).items()}
        if not grown:
            raise CannotApply("no narrow linear layer feeds another one directly")
        generator = torch.Generator().manual_seed(SEED)
        old = {n: trial.start[n] for n in grown if n in trial.start}
        fresh = {n: drawn(t, grown[n][: t.dim()], grown[n][1], generator) for n, t in old.items()}
        return noted(trial.with_(start=trial.start | fresh), self.name)

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, dict.fromkeys(self._changes(sources)), "no hidden layers were found")

    def _changes(self, sources: Sources) -> Iterator[Change]:
        groups = [g for w in sources.pages() for g in _stacks(w)]
        if len(groups) != 1:
            raise CannotEdit(
                "the text has several stacks of linear layers" if groups else "no stack of linear layers was found"
            )
        sizes = [argument(c, 1, "out_features") for c in groups[0][:-1]] + [
            argument(c, 0, "in_features") for c in groups[0][1:]
        ]
        for size in sizes:
            made = origins(sources, size, "out_features", float.is_integer, exact=False)[:1] if size is not None else ()
            if size is not None and not made:
                raise CannotEdit(f"{size.file}: the width {size.code} is not a plain number")
            yield from (o.instead(self.units) for o in made if o.value < self.units)


def _growing(program: Program, start: dict[str, Tensor], units: int) -> dict[str, tuple[int, int]]:
    """For each weight of a layer that is widened: its new numbers of outputs and inputs."""
    linear = [c for c in program.calls if c.name == "linear"]
    feeds = {c.outs: before for c in linear if (before := _fed_by(program, c)) is not None}
    narrow = {b.outs for b in feeds.values() if _shape(b, start)[0] < units}
    grown: dict[str, tuple[int, int]] = {}
    for call in linear:
        outputs, inputs = _shape(call, start)
        out, into = call.outs in narrow, call.outs in feeds and feeds[call.outs].outs in narrow
        for ref in call.refs()[1:]:
            if isinstance(ref, Weight) and (out or into):
                grown[ref.name] = (units if out else outputs, units if into else inputs)
    return grown


def _fed_by(program: Program, call: Call) -> Call | None:
    before = program.maker(call.refs()[0])
    while before is not None and before.op.elementwise and before.op.kind in ("activation", "dropout"):
        before = program.maker(before.refs()[0])
    return before if before is not None and before.name == "linear" else None


def _shape(call: Call, start: dict[str, Tensor]) -> tuple[int, int]:
    """The numbers of outputs and inputs of a linear layer."""
    weight = call.argument(1, "weight")
    known = isinstance(weight, Weight) and weight.name in start
    return (start[weight.name].shape[0], start[weight.name].shape[1]) if known else (1, 1)


def _stacks(whole: Place) -> Iterator[list[Place]]:
    """The linear layers that a class, function or Sequential constructs, if there are at least two."""
    found: dict[ast.AST, list[Place]] = {}
    for call in whole.page.all(ast.Call):
        if full_name(whole.page, call.func) == "torch.nn.Linear":
            owner = next(
                (n for n in whole.page.above(call) if isinstance(n, ast.ClassDef | ast.FunctionDef)), whole.page.tree
            )
            found.setdefault(owner, []).append(whole.of(call))
    yield from (calls for calls in found.values() if len(calls) > 1)
