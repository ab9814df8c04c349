"""Change the learning rate where it is made: at the optimizer, in the settings, on the command line."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._groups import set_in_groups
from unstuck.remedies._loop import optimizer_at, optimizers
from unstuck.remedies._made import handed, in_groups, is_open, is_torch, moved, recorded
from unstuck.remedies._moves import added_argument, gathered, short
from unstuck.remedies._names import full_name
from unstuck.remedies._program import noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.edits import argument
from unstuck.source.origins import Origin, origins
from unstuck.source.text import Change, Place, Sources
from unstuck.tape.model import Tape

ALIKE = 1e-3
"""Two rates are one within this share: `short` writes four digits."""
SCHEDULED = {"OneCycleLR": ("max_lr",), "CyclicLR": ("base_lr", "max_lr")}
"""Schedulers that set the rate themselves, and the arguments that hold it."""


class SetRate(Treatment, frozen=True):
    """Multiply the rate by `factor`, to `rate` (of the first group); `site`: the construction of the optimizer, to tell
    several apart."""

    name: ClassVar[str] = "set-rate"
    trust: ClassVar[Trust] = "likely"

    factor: float
    rate: float
    site: Site | None = None
    rates: tuple[float, ...] = ()
    """What the groups were constructed with; the first is that of `rate`."""
    choice: int = 0
    """Which of the places that may hold the rate, best first."""

    def summary(self) -> str:
        return f"set the learning rate to {short(self.rate)}"

    def stronger(self) -> Treatment | None:
        lower = float(f"{self.rate / 3:.0e}")
        if self.factor >= 1 or lower <= 0:
            return None
        return SetRate(self.factor * lower / self.rate, lower, self.site, self.rates)

    def apply(self, trial: Trial) -> Trial:
        return noted(trial.with_(rate=trial.rate * self.factor), self.name)

    def elsewhere(self) -> Treatment:
        return SetRate(self.factor, self.rate, self.site, self.rates, self.choice + 1)

    def took(self, before: Tape, after: Tape) -> bool:
        old, new = first_rates(before), first_rates(after)
        return not old or any(math.isclose(n, o * self.factor, rel_tol=ALIKE) for o, n in zip(old, new, strict=False))

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, self.changes(sources), "no learning rate was found")

    def made(self, sources: Sources) -> Origin | None:
        """The place where the rate is most probably made; None where the text does not show it."""
        try:
            found, _ = self._rates(sources, self._constructed(sources))
        except CannotEdit:
            return None
        return next((places[0] for places in found if places), None)

    def changes(self, sources: Sources) -> list[Change]:
        """The changes that `edit` makes."""
        call = self._constructed(sources)
        if call is None and self._is_by_hand(sources):
            return list(self._by_hand(sources))
        found, shown = self._rates(sources, call)
        if any(found):
            return [*moved(found, self._new, self.choice)]
        if self.choice:
            raise CannotEdit("no other place holds the learning rate that the run used")
        if call is not None and not shown and is_torch(call) and not is_open(call):
            return [added_argument(call, f"lr={short(self.rate)}")]
        if shown:
            line = getattr(shown[0].node, "lineno", 0)
            raise CannotEdit(f"set the learning rate to {short(self.rate)}: {shown[0].file}, line {line} computes it")
        return [set_in_groups(sources, lr=short(self.rate))]

    def _new(self, old: float) -> float:
        return old * self.factor if math.isfinite(old) else self.rate

    def _constructed(self, sources: Sources) -> Place | None:
        if self.site is None and not optimizers(sources):
            return None
        return optimizer_at(sources, self.site)

    def _rates(self, sources: Sources, call: Place | None) -> tuple[list[tuple[Origin, ...]], list[Place]]:
        """Where each rate that the construction shows is made, and the expressions that give them."""
        groups = list(in_groups(call, "lr")) if call is not None else []
        given = handed(sources, call, 1, "lr") if call is not None else []
        shown = [*given, *groups]
        found = [self._origins(sources, place) for place in shown or [None]]
        return found + [self._origins(sources, peak) for peak in _scheduled(sources)], shown

    def _origins(self, sources: Sources, place: Place | None) -> tuple[Origin, ...]:
        known = self.rates or (self.rate / self.factor,)
        found = origins(sources, place, "lr", recorded(*known))
        return found or (origins(sources, place, "lr", math.isfinite, exact=False)[:1] if place is not None else ())

    def _is_by_hand(self, sources: Sources) -> bool:
        return any(True for whole in sources.pages() for _ in _beside_gradients(whole))

    def _by_hand(self, sources: Sources) -> Iterator[Change]:
        """`p -= lr * p.grad`, `p.data -= 0.1 * p.grad`, `p.sub_(lr * p.grad)`, `p.add_(p.grad, alpha=-lr)`."""
        found = {}
        for whole in sources.pages():
            for rate in _beside_gradients(whole):
                made = self._origins(sources, rate)
                if not made:
                    raise CannotEdit(f"{rate.file}: the rate {rate.code} is not a plain number")
                found[made[min(self.choice, len(made) - 1)].place] = made
        return moved(list(found.values()), lambda old: abs(self._new(old)), self.choice)


def first_rates(tape: Tape) -> tuple[float, ...]:
    """The rates of the first step that has one above zero (a warm-up may begin at zero)."""
    return next((u.rates for u in tape.updates if any(math.isfinite(r) and r > 0 for r in u.rates)), ())


def built_rates(tape: Tape, number: int = 0) -> tuple[float, ...]:
    """The rates that an optimizer's groups were constructed with, the first group's first; () where unknown.

    Schedulers note them as `initial_lr`, and their own peaks beside it.
    """
    groups = tape.optimizers[number].groups if number < len(tape.optimizers) else ()
    keys = ("initial_lr", "lr", "max_lr", "base_lr")
    held = (g[k] for k in keys for g in groups if isinstance(g.get(k), int | float))
    return tuple(dict.fromkeys(float(v) for v in held if math.isfinite(v) and v > 0))


def _scheduled(sources: Sources) -> Iterator[Place]:
    """The rates of schedulers that set the optimizer's rate themselves."""
    for whole in sources.pages():
        for call in whole.page.all(ast.Call):
            name = full_name(whole.page, call.func).rpartition(".")[2]
            for keyword in SCHEDULED.get(name, ()):
                at = 1 if keyword == "max_lr" and name == "OneCycleLR" else -1
                peak = argument(whole.of(call), at, keyword)
                if peak is not None:
                    yield peak


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
