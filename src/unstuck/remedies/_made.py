"""Writing a number where it is made: in the text, in a settings file, on the command line, in the environment."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Sequence

from unstuck.remedies._names import full_name
from unstuck.remedies.treatment import CannotEdit
from unstuck.source.edits import argument
from unstuck.source.origins import Origin, Wanted
from unstuck.source.text import Change, Place, Sources
from unstuck.source.values import Source


def recorded(*values: float) -> Wanted:
    """Whether a number is one of those that were recorded."""
    return lambda value: any(math.isclose(value, known, rel_tol=1e-9, abs_tol=1e-30) for known in values)


def moved(found: Sequence[tuple[Origin, ...]], new: Callable[[float], float], choice: int) -> Iterator[Change]:
    """The changes that write a new number for each expression, at the `choice`-th place that may hold its old one."""
    if choice >= max((len(places) for places in found), default=0):
        raise CannotEdit("no other place holds the number that the run used")
    chosen = (places[min(choice, len(places) - 1)] for places in found if places)
    yield from dict.fromkeys(origin.instead(new(origin.value)) for origin in chosen)


def handed(sources: Sources, call: Place, position: int, keyword: str) -> list[Place]:
    """The expressions that a call gets for an argument: given as it is, or under its name in a `**` table."""
    source, node = Source.of(sources), call.node
    assert isinstance(node, ast.Call)
    if any(isinstance(a, ast.Starred) for a in node.args):
        position = -1
    given = argument(call, position, keyword)
    tables = (k.value for k in node.keywords if k.arg is None)
    return [given] if given else [source.place(v) for t in tables for v in source.settings(t, keyword)]


def in_groups(call: Place, key: str) -> Iterator[Place]:
    """What parameter groups that stand in a construction set under a key themselves."""
    assert isinstance(call.node, ast.Call)
    for group in call.page.all(ast.Dict, call.node):
        for name, value in zip(group.keys, group.values, strict=True):
            if isinstance(name, ast.Constant) and name.value == key:
                yield call.of(value)


def keyed(sources: Sources, key: str) -> bool:
    """Whether any table in the text has such a key."""
    keys = (k for w in sources.pages() for d in w.page.all(ast.Dict) for k in d.keys)
    return any(isinstance(k, ast.Constant) and k.value == key for k in keys)


def is_torch(call: Place) -> bool:
    """Whether a call constructs an optimizer of torch's own, by its name."""
    return isinstance(call.node, ast.Call) and full_name(call.page, call.node.func).startswith("torch.optim.")


def is_open(call: Place) -> bool:
    """Whether a call's arguments may hold more than the text shows: `*values`, `**options`."""
    node = call.node
    assert isinstance(node, ast.Call)
    return any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords)
