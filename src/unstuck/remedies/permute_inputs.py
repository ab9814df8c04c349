"""Permute the axes of the inputs instead of reshaping them, so that each value keeps its place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Trust
from unstuck.remedies._moves import gathered
from unstuck.remedies._program import noted
from unstuck.remedies.treatment import CannotApply, CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.axes import turned

RESHAPING = {"reshape", "view"}


class PermuteInputs(Treatment, frozen=True):
    """The inputs in `slot` have `shape` (batch, *axes); the features are the first of the axes, or the last."""

    name: ClassVar[str] = "permute-inputs"
    trust: ClassVar[Trust] = "likely"

    slot: int
    shape: tuple[int, ...]
    features_first: bool = True

    def summary(self) -> str:
        return "permute the axes of the inputs instead of reshaping them"

    def apply(self, trial: Trial) -> Trial:
        before = trial.outside.get(self.slot, lambda value: value)

        def change(value):
            value = before(value)
            if value.dim() != len(self.shape):
                raise CannotApply("the inputs have different axes in different steps")
            return turned(value, self.features_first)

        return noted(trial.with_(outside={**trial.outside, self.slot: change}), self.name)

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, self._splices(sources), "the reshape that makes the inputs was not found")

    def _splices(self, sources: Sources) -> Iterator[Splice]:
        found = [p for w in sources.pages() for c in w.page.all(ast.Call) if self._makes(p := w.of(c))]
        if len({p.page.code(n) for p in found for n in _axes(p)[1:]}) > len(self.shape) - 1:
            raise CannotEdit("cannot tell which of several reshapes makes the inputs")
        for place in found:
            axes = _axes(place)
            rest = [place.page.code(a) for a in axes[1:]]
            order = [*rest[1:], rest[0]] if self.features_first else [rest[-1], *rest[:-1]]
            yield from (place.of(a).instead(t) for a, t in zip(axes[1:], order, strict=True))
            yield from place.wrapped("", self._moves())

    def _moves(self) -> str:
        """Methods of arrays and tensors that move the last axis to the second place, or the reverse."""
        places = range(1, len(self.shape) - 1)
        pairs = [(i, i + 1) for i in (reversed(places) if self.features_first else places)]
        return "".join(f".swapaxes({a}, {b})" for a, b in pairs)

    def _makes(self, place: Place) -> bool:
        """Whether a reshape may give this shape: as many axes, and no number that differs."""
        call = place.node
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in RESHAPING):
            return False
        axes = _axes(place)
        if len(axes) != len(self.shape) or any(isinstance(a, ast.Starred) for a in axes):
            return False
        known = [(n.value, s) for n, s in zip(axes[1:], self.shape[1:], strict=True) if isinstance(n, ast.Constant)]
        return all(number == size for number, size in known)


def _axes(place: Place) -> list[ast.expr]:
    assert isinstance(place.node, ast.Call)
    args = place.node.args
    return list(args[0].elts) if len(args) == 1 and isinstance(args[0], ast.Tuple | ast.List) else list(args)
