"""Permute axes between two layers instead of reshaping."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._moves import the_call
from unstuck.remedies._program import changed, everywhere, made, noted
from unstuck.remedies.permute_inputs import RESHAPING
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Sources
from unstuck.tape.axes import Regrouping, left_out
from unstuck.tape.program import Call, Program, Value


class PermuteInstead(Treatment, frozen=True):
    """The reshapes at `sites` move the axes that they cut across; `meant`: how, for each of them."""

    name: ClassVar[str] = "permute-instead"
    trust: ClassVar[Trust] = "likely"

    sites: tuple[Site, ...]
    meant: tuple[Regrouping, ...]

    def summary(self) -> str:
        lines = ", ".join(str(n) for n in sorted({site.line for site in self.sites}))
        return f"permute the axes in line{'s' if ',' in lines else ''} {lines} instead of only reshaping"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step has no reshape there"), self.name)

    def _turned(self, program: Program) -> Program:
        for call in program.calls:
            meant = left_out(program, call) if call.site in self.sites else None
            if meant is not None:
                program = program.replaced(call, *_moved(program, call, meant))
        return program

    def edit(self, sources: Sources) -> Sources:
        for site, meant in zip(self.sites, self.meant, strict=True):
            sources = _edited(sources, site, meant)
        return sources


def _moved(program: Program, call: Call, meant: Regrouping) -> tuple[Call, ...]:
    """The calls in the place of a reshape."""
    split, moved = program.fresh(), program.fresh() + 1
    parts = tuple(meant.split[place] for place in meant.order)
    first = changed(made("torch.reshape", split, call.args[0], meant.split, like=call), shape=meant.split)
    given = call.args[0] if meant.apart else Value(split)
    turned = (
        changed(made("torch.permute", moved, given, meant.order, like=call), shape=parts),
        changed(call, function="torch.reshape", args=(Value(moved), _shape(call)), kwargs={}),
    )
    return turned if meant.apart else (first, *turned)


def _shape(call: Call) -> tuple[int, ...]:
    """The new shape as it is given (-1 stands for the rows of whatever batch), or as it was."""
    given = call.args[1] if len(call.args) == 2 and isinstance(call.args[1], list | tuple) else call.args[1:]
    return tuple(given) if given and all(type(n) is int for n in given) else call.shape


def _edited(sources: Sources, site: Site, meant: Regrouping) -> Sources:
    place = the_call(sources, site, lambda p: _reshapes(p.node))
    call = place.node
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        raise CannotEdit(f"{place.file}, line {site.line}: the reshape was not found")
    if isinstance(call.func.value, ast.Name) and call.func.value.id == "torch":
        raise CannotEdit(f"{place.file}, line {site.line}: cannot edit torch.{call.func.attr}(...)")
    moved = f".permute({', '.join(map(str, meant.order))})"
    if not meant.whole:
        shape = ", ".join(place.of(node).code for node in (*call.args, *call.keywords))
        split = "" if meant.apart else f".reshape({', '.join(map(str, (-1, *meant.split[1:])))})"
        moved = f"{split}{moved}.reshape({shape})"
    return sources.spliced(place.instead(f"{place.of(call.func.value).operand}{moved}"))


def _reshapes(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RESHAPING
