"""The training loop in the text, as places that can be edited: backward, step, the optimizer's construction."""

from __future__ import annotations

import ast

from unstuck.diagnosis.model import Site
from unstuck.remedies._meaning import meant
from unstuck.remedies.treatment import CannotEdit
from unstuck.source.loops import Training
from unstuck.source.text import Place, Sources
from unstuck.source.values import Source


def methods(sources: Sources, name: str) -> list[Place]:
    """The calls of a method, `x.name(...)`, in all files."""
    source = Source.of(sources)
    return [source.place(c) for c in source.methods(name)]


def backwards(sources: Sources) -> list[Place]:
    """The `loss.backward()` calls (`scaler.scale(loss).backward()` too)."""
    return methods(sources, "backward")


def owner(call: Place) -> Place:
    """The object a method is called on."""
    assert isinstance(call.node, ast.Call)
    assert isinstance(call.node.func, ast.Attribute)
    return call.of(call.node.func.value)


def is_optimizer(sources: Sources, place: Place) -> bool:
    """Whether an expression is an optimizer."""
    source = Source.of(sources)
    return source.once(Training).is_optimizer(source.node(place))


def steps(sources: Sources) -> list[Place]:
    """The `optimizer.step()` calls (a scheduler's are left out), `scaler.step(optimizer)` too."""
    source = Source.of(sources)
    return [source.place(c) for c in source.once(Training).steps]


def optimizers(sources: Sources) -> list[Place]:
    """The constructions of optimizers, in all files."""
    source = Source.of(sources)
    return [source.place(c) for c in source.once(Training).optimizers]


def optimizer_at(sources: Sources, site: Site | None) -> Place:
    """The construction of the optimizer: at its site where one is known, else the only one."""
    found = optimizers(sources)
    here = [p for s in ([site] if site else []) for p in sources.calls(s) if isinstance(p.node, ast.Call)][:1]
    if len(here or found) != 1:
        lines = ", ".join(str(getattr(p.node, "lineno", "?")) for p in found)
        several = f"cannot edit: several optimizers are constructed (lines {lines})"
        raise CannotEdit(several if found else "no torch.optim optimizer is constructed in the source")
    return (here or found)[0]


def meaning(sources: Sources, place: Place) -> Place:
    """The one thing an expression stands for, or itself where there are several."""
    found = meant(sources, place)
    return found[0] if len(found) == 1 else place
