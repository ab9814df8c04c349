"""Train with Adam in the place of plain gradient descent: the class of the optimizer and its rate; groups stay."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import ClassVar

import torch

from unstuck.diagnosis.model import Trust
from unstuck.remedies._loop import optimizer_at
from unstuck.remedies._made import is_torch
from unstuck.remedies._moves import gathered, short
from unstuck.remedies._names import needed, spelled
from unstuck.remedies._program import noted
from unstuck.remedies.set_rate import SetRate
from unstuck.remedies.treatment import CannotApply, CannotEdit, Treatment, Trial
from unstuck.source.text import Change, Place, Sources, Splice
from unstuck.tape.model import Tape

PLAIN = ("SGD", "ASGD")
"""Optimizers whose steps are as large as the gradient is."""
FULL = "torch.optim.Adam"


class UseAdam(Treatment, frozen=True):
    """`pace`: what sets the rate; `optimizer`: the number of the optimizer that is replaced."""

    name: ClassVar[str] = "use-adam"
    trust: ClassVar[Trust] = "likely"

    pace: SetRate
    optimizer: int = 0

    def summary(self) -> str:
        return f"train with Adam at a learning rate of {short(self.pace.rate)}"

    def apply(self, trial: Trial) -> Trial:
        if len(trial.options) != 1 or trial.tape.optimizers[self.optimizer].kind not in PLAIN:
            raise CannotApply("not one optimizer makes plain steps along the gradient")
        return noted(self.pace.apply(trial).with_(classes={**trial.classes, self.optimizer: "Adam"}), self.name)

    def elsewhere(self) -> Treatment:
        pace = self.pace.elsewhere()
        assert isinstance(pace, SetRate)
        return UseAdam(pace, self.optimizer)

    def took(self, before: Tape, after: Tape) -> bool:
        known = self.optimizer < len(after.optimizers)
        return known and after.optimizers[self.optimizer].kind == "Adam" and self.pace.took(before, after)

    def edit(self, sources: Sources) -> Sources:
        call = optimizer_at(sources, self.pace.site)
        if not is_torch(call):
            raise CannotEdit("the optimizer's construction does not name its class")
        changes: list[Change] = [*_named(call), *_without(call), *self.pace.changes(sources)]
        return gathered(sources, changes, "no optimizer was found")


def _named(call: Place) -> Iterator[Splice]:
    """The name of the class, in the words of the file, and the import that it may need."""
    assert isinstance(call.node, ast.Call)
    yield call.of(call.node.func).instead(spelled(call.page, FULL))
    yield from needed(call, FULL)


def _without(call: Place) -> Iterator[Splice]:
    """Arguments that Adam does not take go, each with the comma before it."""
    node = call.node
    assert isinstance(node, ast.Call)
    given: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
    if len(node.args) > len(("params", "lr", "momentum", "dampening")):
        raise CannotEdit(f"{call.file}, line {node.lineno}: cannot edit: too many arguments without a name")
    for before, argument in pairwise(given):
        foreign = isinstance(argument, ast.keyword) and argument.arg is not None and argument.arg not in _taken()
        if foreign or argument in node.args[2:]:
            yield Splice(call.file, call.page.span(before)[1], call.page.span(argument)[1], "")


@cache
def _taken() -> frozenset[str]:
    return frozenset(inspect.signature(torch.optim.Adam.__init__).parameters)
