"""The training loop in the text: backward, step, the optimizer's construction, the loss."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Site
from unstuck.remedies._meaning import applied, classes, constructed, meant
from unstuck.remedies._names import full_name
from unstuck.remedies.treatment import CannotEdit
from unstuck.source.text import Place, Sources


def methods(sources: Sources, name: str) -> Iterator[Place]:
    """The calls of a method, `x.name(...)`, in all files."""
    for whole in sources.pages():
        for call in whole.page.all(ast.Call):
            if isinstance(call.func, ast.Attribute) and call.func.attr == name:
                yield whole.of(call)


def backwards(sources: Sources) -> list[Place]:
    """The `loss.backward()` calls (`scaler.scale(loss).backward()` too)."""
    return list(methods(sources, "backward"))


def owner(call: Place) -> Place:
    """The object a method is called on."""
    assert isinstance(call.node, ast.Call)
    assert isinstance(call.node.func, ast.Attribute)
    return call.of(call.node.func.value)


def is_optimizer(sources: Sources, place: Place) -> bool:
    """Whether an expression is an optimizer: constructed from torch.optim, or called so."""
    names = [name for _, name in constructed(sources, place)]
    if any(name.startswith("torch.optim") for name in names):
        return all(".lr_scheduler" not in name and ".swa_utils" not in name for name in names)
    word = place.code.rpartition(".")[2].lower()
    return word.startswith("opt") or word.endswith(("optimizer", "optimiser", "_opt", "optim"))


def steps(sources: Sources) -> list[Place]:
    """The `optimizer.step()` calls (a scheduler's are left out), `scaler.step(optimizer)` too."""
    found = list(methods(sources, "step"))
    plain = [c for c in found if is_optimizer(sources, owner(c))]
    scaled = [
        c for c in found if isinstance(c.node, ast.Call) and any(is_optimizer(sources, c.of(a)) for a in c.node.args)
    ]
    return plain + [c for c in scaled if c not in plain]


def optimizers(sources: Sources) -> list[Place]:
    """The constructions of optimizers, in all files."""
    found = (w.of(c) for w in sources.pages() for c in w.page.all(ast.Call))
    return [p for p in found if _constructs(p)]


def _constructs(place: Place) -> bool:
    assert isinstance(place.node, ast.Call)
    name = full_name(place.page, place.node.func)
    return (
        name.startswith("torch.optim.")
        and name.count(".") <= 3
        and name.rpartition(".")[2][:1].isupper()
        and (".lr_scheduler" not in name and ".swa_utils" not in name)
    )


def optimizer_at(sources: Sources, site: Site | None) -> Place:
    """The construction of the optimizer: at its site where one is known, else the only one."""
    found = optimizers(sources)
    here = [p for s in ([site] if site else []) for p in sources.calls(s) if any(p.node is f.node for f in found)]
    if len(here or found) != 1:
        raise CannotEdit("no torch.optim optimizer is constructed in the source" if not found else _several(found))
    return (here or found)[0]


def _several(found: list[Place]) -> str:
    lines = ", ".join(str(getattr(p.node, "lineno", "?")) for p in found)
    return f"several optimizers are constructed (lines {lines})"


def losses(sources: Sources, *names: str) -> list[Place]:
    """The calls that compute a loss by one of these torch functions or modules (last names), in all files."""
    found = (w.of(c) for w in sources.pages() for c in w.page.all(ast.Call))
    return [p for p in found if isinstance(p.node, ast.Call) and p.node.args and _computes(sources, p, names)]


def _computes(sources: Sources, place: Place, names: tuple[str, ...]) -> bool:
    assert isinstance(place.node, ast.Call)
    name = applied(sources, place).rpartition(".")[2]
    constructs = full_name(place.page, place.node.func).rpartition(".")[2] == name and name[:1].isupper()
    return name in names and not constructs


def model_class(sources: Sources, model: Place) -> Place | None:
    """The person's own module class that an expression is an instance of."""
    found = classes(sources, model)
    return found[0] if len(found) == 1 else None


def training_loop(place: Place) -> Place | None:
    """The innermost loop around a place."""
    loop = next((n for n in place.page.above(place.node) if isinstance(n, ast.For | ast.While)), None)
    return place.of(loop) if loop else None


def meaning(sources: Sources, place: Place) -> Place:
    """The one thing an expression stands for, or itself where there are several."""
    found = meant(sources, place)
    return found[0] if len(found) == 1 else place
