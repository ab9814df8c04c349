"""What a table of settings holds under a name: a dict, a namespace, a dataclass, the options of a command line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unstuck.source.values import Source


def held_under(source: Source, table: ast.expr, name: str) -> Iterator[ast.expr]:
    """The values that an expression, which makes a table, gives a name in it; of an option, its default."""
    match table:
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            yield from (v for k, v in pairs if isinstance(k, ast.Constant) and k.value == name)
        case ast.Call(func=ast.Attribute(attr="parse_args" | "parse_known_args")):
            yield from _option(source, name)
        case ast.Call(keywords=keywords) if not source.full_name(table).startswith("torch."):
            given = [k.value for k in keywords if k.arg == name]
            classes = [d for d in source.definitions(table.func) if isinstance(d, ast.ClassDef)]
            fields = (b.value for c in classes for b in source.bound(name, c) if b.value is not None)
            yield from given or fields


def _option(source: Source, name: str) -> Iterator[ast.expr]:
    for call in source.methods("add_argument"):
        words = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if name in {word.lstrip("-").replace("-", "_") for word in words}:
            yield from (k.value for k in call.keywords if k.arg == "default")
