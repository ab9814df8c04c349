"""Constructors that Python never calls, because their name is not quite `__init__`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from unstuck.diagnosis.model import NotApplicable, Site
from unstuck.signals.source import Source
from unstuck.tape.model import Tape

CONSTRUCTOR = "__init__"
ALIKE = 0.8
"""Similarity of two names by difflib: one letter or underscore more, less or exchanged in eight gives 0.88 to 0.94."""
MODULE = "torch.nn."


@dataclass(frozen=True)
class Misnamed:
    """A method of a module without a constructor."""

    owner: str
    """The class."""
    name: str
    site: Site
    """Its definition."""

    @classmethod
    def read(cls, tape: Tape) -> Misnamed:
        """The first of the texts. Raises NotApplicable if there is none."""
        source = Source.read(tape)
        found = next(_misnamed(source), None)
        if found is None:
            raise NotApplicable("no module has a method whose name is nearly __init__")
        owner, method = found
        return cls(owner.name, method.name, source.site(method))


def _misnamed(source: Source) -> Iterator[tuple[ast.ClassDef, ast.FunctionDef]]:
    for owner in source.all(ast.ClassDef):
        methods = [n for n in owner.body if isinstance(n, ast.FunctionDef)]
        names = {m.name for m in methods}
        if CONSTRUCTOR not in names and any(source.full_name(base).startswith(MODULE) for base in owner.bases):
            yield from ((owner, m) for m in methods if _nearly(m.name) and not _called(source, m.name))


def _nearly(name: str) -> bool:
    bare = name.strip("_") == CONSTRUCTOR.strip("_")
    return bare or SequenceMatcher(None, name, CONSTRUCTOR).ratio() >= ALIKE


def _called(source: Source, name: str) -> bool:
    """Whether another method than that one calls it."""
    calls = (c for c in source.methods(name))
    return any(getattr(source.scope(c), "name", "") != name for c in calls)
