"""Functions with modes that the script calls itself, in scopes that never look at a module's mode."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.signals.source import Site, Source
from unstuck.tape.modes import ATTENTION, modes
from unstuck.tape.ops import names
from unstuck.tape.program import Program

DROPPING = {f"torch.nn.functional.{name}" for name in names(lambda op: op.kind == "dropout")}
ATTENDING = f"torch.nn.functional.{ATTENTION}"
NORMALISING = {f"torch.nn.functional.{name}" for name in ("batch_norm", "instance_norm")}


def calls(source: Source, program: Program) -> Iterator[ast.Call]:
    """Dropout and attention functions of a program in methods that do not read `self.training`: they drop in both
    modes."""
    ran = [c.site for c, _ in modes(program) if c.site is not None]
    for call in source.all(ast.Call):
        if not any(_within(source.site(call), site) for site in ran):
            continue
        name = source.full_name(call)
        if source.owner_class(call) is None or _reads_mode(source, call):
            continue
        if (name in DROPPING and _untold(call)) or (name == ATTENDING and _drops(call)):
            yield call


def follows(source: Source, program: Program) -> bool:
    """Whether a layer of a program has the mode of its module: no switch of modules reaches a function that the script
    calls with a mode of its own."""
    own = [
        source.site(c) for c in source.all(ast.Call) if _has_mode(source.full_name(c)) and not _reads_mode(source, c)
    ]
    return any(c.site is None or not any(_within(o, c.site) for o in own) for c, _ in modes(program))


def _within(call: Site, ran: Site) -> bool:
    return call.file == ran.file and call.line <= ran.line <= call.end_line


def _has_mode(name: str) -> bool:
    return name in DROPPING or name in NORMALISING or name == ATTENDING


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
