"""Remove the activation from the output of a regression whose targets it cannot reach."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._entrance import last_turn, over_layers
from unstuck.remedies._layers import items
from unstuck.remedies._meaning import constructed
from unstuck.remedies._moves import call_to, dropped, folded, gathered, subject, unwrapped
from unstuck.remedies._names import full_name, spelled
from unstuck.remedies._program import activation_at, everywhere, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Program


class DropOutputActivation(Treatment, frozen=True):
    """`activation`: the innermost site of the output activation; `function`: its name in the program."""

    name: ClassVar[str] = "drop-output-activation"
    trust: ClassVar[Trust] = "safe"

    activation: Site
    function: str

    def summary(self) -> str:
        return f"remove the {self.function} from the output, so that it can reach all targets"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._without, f"the recorded step has no {self.function} there"), self.name)

    def _without(self, program: Program) -> Program:
        call = activation_at(program, self.activation, self.function)
        return program.without(call) if call else program

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, self._splices(sources), "the activation was not found")

    def _splices(self, sources: Sources) -> Iterator[Splice]:
        applies = call_to(sources, self.function)
        for place in sources.calls(self.activation):
            if applies(place):
                inner = subject(place)
                loop = over_layers(inner) if isinstance(inner.node, ast.Call) else None
                yield _but_the_last(place, inner, loop) if loop else unwrapped(place)
                return
            last = _last_layer(sources, place)
            if last is not None and folded(_name(last)) == folded(self.function):
                yield dropped(last)
                return
        made = [p for w in sources.pages() for c in w.page.all(ast.Call) if _makes(p := w.of(c), self.function)]
        if len(made) == 1:  # constructed elsewhere, but there is only one
            yield made[0].instead(f"{spelled(made[0].page, 'torch.nn.Identity')}()")
            return
        raise CannotEdit(
            f"{self.activation.file}, line {self.activation.line}: the {self.function} was not found in the text"
        )


def _but_the_last(place: Place, inner: Place, loop: ast.For) -> Splice:
    """`x = relu(layer(x))` becomes conditional: on all layers but the last."""
    return place.instead(f"{inner.code} if {last_turn(place, loop)} else {place.code}")


def _last_layer(sources: Sources, place: Place) -> Place | None:
    if not isinstance(place.node, ast.Call):
        return None
    models = [m for m, name in constructed(sources, place.of(place.node.func)) if name == "torch.nn.Sequential"]
    layers = items(sources, models[0]) if models else []
    return layers[-1] if layers else None


def _makes(place: Place, function: str) -> bool:
    """Whether a call constructs the module of an activation."""
    name = _name(place)
    return name.startswith("torch.nn.") and ".functional." not in name and folded(name) == folded(function)


def _name(layer: Place) -> str:
    return full_name(layer.page, layer.node.func) if isinstance(layer.node, ast.Call) else ""
