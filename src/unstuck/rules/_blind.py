"""Calls of functions that drop units, in methods that never look at the module's mode."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.signals.source import Source
from unstuck.tape.modes import ATTENTION
from unstuck.tape.ops import names

DROPPING = {f"torch.nn.functional.{name}" for name in names(lambda op: op.kind == "dropout")}
ATTENDING = f"torch.nn.functional.{ATTENTION}"


def calls(source: Source) -> Iterator[ast.Call]:
    """Dropout and attention functions in methods that do not read `self.training`, and so drop in both modes."""
    for call in source.all(ast.Call):
        name = source.full_name(call)
        if source.owner_class(call) is None or _reads_mode(source, call):
            continue
        if (name in DROPPING and _untold(call)) or (name == ATTENDING and _drops(call)):
            yield call


def _reads_mode(source: Source, call: ast.Call) -> bool:
    return any(a.attr == "training" for a in source.all(ast.Attribute, source.scope(call)))


def _untold(call: ast.Call) -> bool:
    """Whether a dropout is not told the mode at all; one that is told True is meant (Monte Carlo dropout)."""
    return not any(k.arg is None for k in call.keywords) and _argument(call, 2, "training") is None


def _drops(call: ast.Call) -> bool:
    share = _argument(call, 4, "dropout_p")
    return share is not None and not (isinstance(share, ast.Constant) and share.value == 0)


def _argument(call: ast.Call, position: int, keyword: str) -> ast.expr | None:
    by_name = next((k.value for k in call.keywords if k.arg == keyword), None)
    return by_name or (call.args[position] if position < len(call.args) else None)
