"""Change the learning rate at the construction of the optimizer, or in a weight update by hand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._groups import set_in_groups
from unstuck.remedies._loop import optimizer_at, optimizers
from unstuck.remedies._meaning import meant
from unstuck.remedies._moves import argument, gathered, is_literal, literal, set_argument, short
from unstuck.remedies._names import full_name
from unstuck.remedies._program import noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice

DEFAULTS = {"SGD": 1e-3, "Adadelta": 1.0, "Adagrad": 0.01, "RMSprop": 0.01, "Rprop": 0.01, "LBFGS": 1.0, "NAdam": 0.002}
"""Default rates in torch.optim; all others have 0.001."""


class SetRate(Treatment, frozen=True):
    """Multiply the rate by `factor`, to `rate` (of the first group); `site`: the construction of the optimizer, to tell
    several apart."""

    name: ClassVar[str] = "set-rate"
    trust: ClassVar[Trust] = "likely"

    factor: float
    rate: float
    site: Site | None = None

    def summary(self) -> str:
        return f"set the learning rate to {short(self.rate)}"

    def stronger(self) -> Treatment | None:
        lower = float(f"{self.rate / 3:.0e}")
        return SetRate(self.factor * lower / self.rate, lower, self.site) if self.factor < 1 and lower > 0 else None

    def apply(self, trial: Trial) -> Trial:
        return noted(trial.with_(rate=trial.rate * self.factor), self.name)

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, self._splices(sources), "no learning rate was found")

    def _splices(self, sources: Sources) -> list[Splice]:
        try:
            found = list(self._constructed(sources) if optimizers(sources) else self._by_hand(sources))
        except CannotEdit:
            if len(optimizers(sources)) > 1:
                raise
            found = []  # the rate comes from a table, or is no plain number
        return found or [set_in_groups(sources, lr=short(self.rate))]

    def _constructed(self, sources: Sources) -> Iterator[Splice]:
        call = optimizer_at(sources, self.site)
        groups = list(_group_rates(sources, call))
        given = argument(call, 1, "lr")
        if given is not None or not groups:
            yield set_argument(sources, call, 1, "lr", short(self.rate))
        for rate in groups:
            yield (literal(sources, rate) or rate).instead(short(_value(sources, rate) * self.factor))
        yield from self._scheduled(sources)

    def _scheduled(self, sources: Sources) -> Iterator[Splice]:
        """Schedulers that set the rate themselves get the new one."""
        for whole in sources.pages():
            for call in whole.page.all(ast.Call):
                name = full_name(whole.page, call.func).rpartition(".")[2]
                for keyword in ("max_lr", "base_lr") if name in ("OneCycleLR", "CyclicLR") else ():
                    peak = argument(whole.of(call), 1 if keyword == "max_lr" and name == "OneCycleLR" else -1, keyword)
                    if peak is not None:
                        yield peak.instead(short(_value(sources, peak) * self.factor))

    def _by_hand(self, sources: Sources) -> Iterator[Splice]:
        """`p -= lr * p.grad`, `p.data -= 0.1 * p.grad`, `p.sub_(lr * p.grad)`, `p.add_(p.grad, alpha=-lr)`."""
        found: dict[ast.AST, Place] = {}
        for whole in sources.pages():
            for rate in _beside_gradients(whole):
                target = literal(sources, rate) or _shared(sources, rate)
                found.setdefault(target.node, target)
        for target in found.values():
            yield target.instead(short(abs(_value(sources, target)) * self.factor))


def _group_rates(sources: Sources, call: Place) -> Iterator[Place]:
    """The rates that parameter groups set themselves."""
    assert isinstance(call.node, ast.Call)
    for group in call.page.all(ast.Dict, call.node):
        for key, value in zip(group.keys, group.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "lr":
                yield call.of(value)


def _value(sources: Sources, place: Place) -> float:
    values = [v for v in meant(sources, place) if is_literal(v.node)]
    if len(values) != 1:
        raise CannotEdit(f"{place.file}: the rate {place.code} is not a plain number")
    return float(ast.literal_eval(values[0].code))


def _shared(sources: Sources, rate: Place) -> Place:
    """The literal that a rate is read from, even if it is read in several places: all are updates."""
    values = [v for v in meant(sources, rate) if is_literal(v.node)]
    return values[0] if len(values) == 1 else rate


def _beside_gradients(whole: Place) -> Iterator[Place]:
    for product in whole.page.all(ast.BinOp):
        if isinstance(product.op, ast.Mult):
            for rate, gradient in ((product.left, product.right), (product.right, product.left)):
                if _is_gradient(gradient) and not _is_gradient(rate):
                    yield whole.of(rate.operand if isinstance(rate, ast.UnaryOp) else rate)
    for call in whole.page.all(ast.Call):
        by_gradient = any(_is_gradient(a) for a in call.args)
        for keyword in call.keywords if by_gradient else ():
            if keyword.arg == "alpha":
                value = keyword.value
                yield whole.of(value.operand if isinstance(value, ast.UnaryOp) else value)


def _is_gradient(node: ast.expr) -> bool:
    return any(isinstance(n, ast.Attribute) and n.attr == "grad" for n in ast.walk(node))
