"""Options of an optimizer whose construction the text does not show: set in its parameter groups, once it is there."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.remedies.treatment import CannotEdit
from unstuck.source.edits import top_names
from unstuck.source.loops import Training
from unstuck.source.scopes import Binding, Function
from unstuck.source.text import Sources, Splice
from unstuck.source.values import Source


def set_in_groups(sources: Sources, **options: str) -> Splice:
    """`group["lr"] = 0.001` for every group, behind the one statement that gives the optimizer its name.

    Optimizers come from a name in a table (`getattr(torch.optim, kind)(...)`), from a function of the person's, from
    another library: a schedule that is built afterwards starts from the values set here.
    """
    source = Source.of(sources)
    training = source.once(Training)
    stepped = {source.code(n): n for c in training.steps if (n := training.stepped(c)) is not None}
    if len(stepped) != 1:
        raise CannotEdit("no torch.optim optimizer is constructed in the source")
    ((name, node),) = stepped.items()
    made = {b.statement: b for b in _made(source, node)}
    if len(made) != 1:
        raise CannotEdit(f"cannot edit: {len(made)} statements assign the optimizer {name}")
    ((statement, b),) = made.items()
    place = source.place(statement)
    group = top_names(place, "group")[0]
    sets = [f'    {group}["{key}"] = {value}' for key, value in options.items()]
    return place.followed(f"for {group} in {b.name}.param_groups:", *sets)


def _made(source: Source, node: ast.expr, seen: frozenset[ast.AST] = frozenset()) -> Iterator[Binding]:
    """Where a call gives an optimizer its name: here, or at the callers that hand it over."""
    for b in source.bindings_of(node):
        if b.kind == "assign" and isinstance(b.value, ast.Call):
            yield b
        elif b.kind == "parameter" and isinstance(b.scope, Function) and b.scope not in seen:
            for given in source.arguments(b.scope, b.name):
                yield from _made(source, given, seen | {b.scope})
