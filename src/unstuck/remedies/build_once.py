"""Build the layers once, in `__init__`: those that `forward` makes are new and untrained in every step."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Trust
from unstuck.remedies._meaning import method
from unstuck.remedies._moves import gathered
from unstuck.remedies._names import full_name
from unstuck.remedies.treatment import CannotApply, CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice

WEIGHTLESS = (
    "Dropout",
    "ReLU",
    "Sigmoid",
    "Tanh",
    "Softmax",
    "Pool",
    "Loss",
    "Flatten",
    "Identity",
    "GELU",
    "SiLU",
    "Upsample",
)


class BuildOnce(Treatment, frozen=True):
    """Needs nothing to be known: every layer with weights that a `forward` constructs moves."""

    name: ClassVar[str] = "build-once"
    trust: ClassVar[Trust] = "likely"

    def summary(self) -> str:
        return "build the layers in __init__, once, instead of anew in every forward"

    def apply(self, trial: Trial) -> Trial:
        raise CannotApply("layers that the script throws away in each step cannot be kept by a replay")

    def edit(self, sources: Sources) -> Sources:
        splices = (s for w in sources.pages() for c in w.page.all(ast.ClassDef) for s in _of_class(w.of(c)))
        return gathered(sources, splices, "no forward that builds layers was found")


def _of_class(owner: Place) -> Iterator[Splice]:
    init, forward = method(owner, "__init__"), method(owner, "forward")
    built = [owner.of(c) for c in owner.page.all(ast.Call, forward.node) if _builds(owner.of(c))] if forward else []
    if built and init is None:
        raise CannotEdit(f"{owner.file}: the module that builds layers in forward has no __init__")
    lines = []
    for number, call in enumerate(built, 1):
        _must_stand_alone(call)
        parent = call.page.parents[call.node]
        target = parent.targets[0] if isinstance(parent, ast.Assign) else None
        if isinstance(target, ast.Attribute):
            lines.append(f"{call.page.code(target)} = {call.code}")
            yield call.removed()
        else:
            lines.append(f"self.built_{number} = {call.code}")
            yield call.instead(f"self.built_{number}")
    if lines and init is not None and isinstance(init.node, ast.FunctionDef):
        yield init.of(init.node.body[-1]).followed(*lines)


def _builds(call: Place) -> bool:
    assert isinstance(call.node, ast.Call)
    name = full_name(call.page, call.node.func)
    last = name.rpartition(".")[2]
    return name.startswith("torch.nn.") and last[:1].isupper() and not any(word in last for word in WEIGHTLESS)


def _must_stand_alone(call: Place) -> None:
    """What the construction reads must be known in `__init__` too: numbers and attributes, no local of forward."""
    function = call.page.function(call.node)
    own = {n.id for n in call.page.all(ast.Name, function) if isinstance(n.ctx, ast.Store)}
    own |= {a.arg for a in function.args.args if a.arg != "self"} if function else set()
    local = [n.id for n in call.page.all(ast.Name, call.node) if n.id in own]
    if local:
        raise CannotEdit(f"{call.file}: {call.code} depends on {local[0]}, which __init__ does not know")
