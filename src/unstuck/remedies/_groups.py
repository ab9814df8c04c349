"""Options of an optimizer whose construction the text does not show: set in its parameter groups, once it is there."""

from __future__ import annotations

import ast

from unstuck.remedies._loop import is_optimizer, methods, owner
from unstuck.remedies._meaning import assigned
from unstuck.remedies._moves import top_names
from unstuck.remedies.treatment import CannotEdit
from unstuck.source.text import Place, Sources, Splice


def set_in_groups(sources: Sources, **options: str) -> Splice:
    """`group["lr"] = 0.001` for every group, behind the one statement that gives the optimizer its name.

    Optimizers come from a name in a table (`getattr(torch.optim, kind)(...)`), from a function of the person's, from
    another library: a schedule that is built afterwards starts from the values set here.
    """
    names = {owner(step).code: owner(step) for step in methods(sources, "step") if _holds_gradients(sources, step)}
    if len(names) != 1:
        raise CannotEdit("no torch.optim optimizer is constructed in the source")
    ((name, place),) = names.items()
    made = [v for v in _given(sources, place, name) if isinstance(v.node, ast.Call)]
    if len(made) != 1:
        raise CannotEdit(f"where {name} is made is not clear in the text")
    group = top_names(made[0], "group")[0]
    sets = [f'    {group}["{key}"] = {value}' for key, value in options.items()]
    return made[0].followed(f"for {group} in {name}.param_groups:", *sets)


def _holds_gradients(sources: Sources, step: Place) -> bool:
    """Whether what steps is an optimizer: it is called so, or its gradients are cleared."""
    code = owner(step).code
    return is_optimizer(sources, owner(step)) or any(owner(c).code == code for c in methods(sources, "zero_grad"))


def _given(sources: Sources, place: Place, name: str) -> list[Place]:
    """Values given to the name, where it is read or at the top of the file."""
    if isinstance(place.node, ast.Attribute):
        return [
            place.of(s.value) for s in place.page.all(ast.Assign) if any(place.of(t).code == name for t in s.targets)
        ]
    inner = place.page.function(place.node)
    here = list(assigned(place.of(inner), name)) if inner is not None else []
    return here or list(assigned(place.of(place.page.tree), name)) or _anywhere(place, name)


def _anywhere(place: Place, name: str) -> list[Place]:
    """A function was handed it: the one place where something of that name is made."""
    return [v for f in place.page.all(ast.FunctionDef) for v in assigned(place.of(f), name)]
