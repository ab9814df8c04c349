"""Add a hidden layer to a model that is a single linear layer."""

from __future__ import annotations

import ast
from typing import ClassVar

import torch

from unstuck.diagnosis.model import Trust
from unstuck.remedies._moves import gathered
from unstuck.remedies._names import full_name, needed, spelled
from unstuck.remedies._program import changed, drawn, everywhere, held_by, made, noted
from unstuck.remedies.treatment import CannotApply, CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Call, Program, Value, Weight

SEED = 22


class AddHidden(Treatment, frozen=True):
    """`weight`: name on the tape of the linear layer's weight, (outputs, inputs); `units`: width of the hidden
    layer."""

    name: ClassVar[str] = "add-hidden"
    trust: ClassVar[Trust] = "likely"

    weight: str
    units: int

    def summary(self) -> str:
        return f"add a hidden layer of {self.units} units"

    def apply(self, trial: Trial) -> Trial:
        if self.weight not in trial.start or self.weight not in trial.holders:
            raise CannotApply("the weight of the linear layer is not on the tape, or no optimizer holds it")
        outputs, inputs = trial.start[self.weight].shape
        generator = torch.Generator().manual_seed(SEED)
        like = trial.start[self.weight]
        fresh = {
            self._hidden("weight"): drawn(like, (self.units, inputs), inputs, generator),
            self._hidden("bias"): drawn(like, (self.units,), inputs, generator),
            self.weight: drawn(like, (outputs, self.units), self.units, generator),
        }
        deeper = everywhere(
            trial.with_(start=trial.start | fresh), self._deeper, "no recorded linear layer reads that weight"
        )
        return noted(held_by(deeper, fresh, trial.holders[self.weight][0]), self.name)

    def _hidden(self, kind: str) -> str:
        return f"{self.weight}.hidden.{kind}"

    def _deeper(self, program: Program) -> Program:
        for call in program.calls:
            if call.name == "linear" and call.argument(1, "weight") == Weight(self.weight):
                out = program.fresh()
                weights = (Weight(self._hidden("weight")), Weight(self._hidden("bias")))
                hidden = made("torch.nn.functional.linear", out, call.refs()[0], *weights, like=call)
                bent = made("torch.relu", out + 1, Value(out), like=call)
                return program.replaced(call, hidden, bent, _reading(call, Value(out + 1)))
        return program

    def edit(self, sources: Sources) -> Sources:
        layers = [w.of(c) for w in sources.pages() for c in w.page.all(ast.Call) if _is_linear(w, c)]
        if len(layers) != 1:
            raise CannotEdit(f"expected one linear layer, found {len(layers)}")
        return gathered(sources, self._split(layers[0]), "the linear layer was not found")

    def _split(self, place: Place) -> tuple[Splice, ...]:
        assert isinstance(place.node, ast.Call)
        named = {k.arg: place.of(k.value).code for k in place.node.keywords if k.arg}
        given = [place.of(a).code for a in place.node.args]
        given += [named.pop(n) for n in ("in_features", "out_features")[len(given) :] if n in named]
        if len(given) < 2:
            raise CannotEdit(f"{place.file}: cannot read the sizes of {place.code}")
        rest = "".join(f", {text}" for text in [*given[2:], *(f"{k}={v}" for k, v in named.items())])
        linear, relu, row = (spelled(place.page, f"torch.nn.{n}") for n in ("Linear", "ReLU", "Sequential"))
        text = f"{row}({linear}({given[0]}, {self.units}), {relu}(), {linear}({self.units}, {given[1]}{rest}))"
        imports = (s for n in ("ReLU", "Sequential") for s in needed(place, f"torch.nn.{n}"))
        return (*imports, place.instead(text))


def _reading(call: Call, value: Value) -> Call:
    if call.args:
        return changed(call, args=(value, *call.args[1:]))
    return changed(call, kwargs=call.kwargs | {"input": value})


def _is_linear(whole: Place, call: ast.Call) -> bool:
    return full_name(whole.page, call.func) == "torch.nn.Linear"
