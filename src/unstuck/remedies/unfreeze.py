"""Unfreeze weights: requires_grad=False, freeze=True, an embedding from pretrained vectors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Trust
from unstuck.remedies._moves import added_argument, argument, gathered
from unstuck.remedies._program import held_by, noted
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Place, Sources, Splice


class Unfreeze(Treatment, frozen=True):
    """`names`: the frozen weights on the tape; `optimizer`: the one that will hold them."""

    name: ClassVar[str] = "unfreeze"
    trust: ClassVar[Trust] = "likely"

    names: tuple[str, ...]
    optimizer: int = 0

    def summary(self) -> str:
        return "unfreeze the weights and add them to the optimizer"

    def apply(self, trial: Trial) -> Trial:
        return noted(held_by(trial, self.names, self.optimizer), self.name)

    def edit(self, sources: Sources) -> Sources:
        plain = [s for whole in sources.pages() for s in _thawed(whole)]
        splices = plain or [s for whole in sources.pages() for s in _decided(whole)]
        return gathered(sources, splices, "no place that freezes weights was found")


def _decided(whole: Place) -> Iterator[Splice]:
    """If the script computes which weights are trained, all of them are."""
    for statement in whole.page.all(ast.Assign):
        target = statement.targets[0]
        if isinstance(target, ast.Attribute) and target.attr == "requires_grad" and not _is_true(statement.value):
            yield whole.of(statement.value).instead("True")
    for call in whole.page.all(ast.Call):
        given = argument(whole.of(call), 0, "requires_grad") if _asks(call) else None
        if given is not None and not _is_true(given.node):
            yield given.instead("True")


def _asks(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "requires_grad_"


def _is_true(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _thawed(whole: Place) -> Iterator[Splice]:
    for statement in whole.page.all(ast.Assign):
        target = statement.targets[0]
        if isinstance(target, ast.Attribute) and target.attr == "requires_grad" and _is_false(statement.value):
            yield _gone(whole.of(statement))
    for call in whole.page.all(ast.Call):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        place = whole.of(call)
        if name == "from_pretrained" and "freeze" not in {k.arg for k in call.keywords} and len(call.args) < 2:
            yield added_argument(place, "freeze=False")
        elif name == "requires_grad_" and (given := argument(place, 0, "requires_grad")) and _is_false(given.node):
            yield _gone(place) if isinstance(whole.page.parents[call], ast.Expr) else given.instead("True")
        else:
            yield from (whole.of(k.value).instead(_opposite(k)) for k in call.keywords if _freezes(k))


def _freezes(keyword: ast.keyword) -> bool:
    frozen = {"requires_grad": False, "freeze": True}
    return isinstance(keyword.value, ast.Constant) and frozen.get(keyword.arg or "") is keyword.value.value


def _opposite(keyword: ast.keyword) -> str:
    return "False" if keyword.arg == "freeze" else "True"


def _is_false(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _gone(place: Place) -> Splice:
    """The statement is removed, and the loop around it if that does nothing else."""
    statement = place.page.statement(place.node)
    loop = place.page.parents[statement]
    alone = isinstance(loop, ast.For) and loop.body == [statement] and not loop.orelse
    return place.of(loop).removed() if alone else place.removed()
