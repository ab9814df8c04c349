"""Put a batch norm without weights in front of the network: for data whose statistics cannot be computed beforehand."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._entrance import entering, fronted, in_front
from unstuck.remedies._meaning import method
from unstuck.remedies._moves import gathered
from unstuck.remedies._names import needed, spelled
from unstuck.remedies._program import everywhere, made, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Call, Program, Ref


class BatchnormInputs(Treatment, frozen=True):
    """`features`: channels of `slot`, along the second axis; `dimensions`: 1 for tables and series, 2 for images.
    `sites` and `positions` as in StandardiseInputs; `BatchnormInputs.of` fills them in."""

    name: ClassVar[str] = "batchnorm-inputs"
    trust: ClassVar[Trust] = "likely"

    slot: int
    features: int
    dimensions: int = 1
    sites: tuple[Site, ...] = ()
    positions: tuple[int, ...] = ()

    @classmethod
    def of(cls, program: Program, slot: int, features: int, dimensions: int = 1) -> BatchnormInputs:
        """The remedy for a slot of a program, with the sites that read it."""
        return cls(slot, features, dimensions, *entering(program, slot))

    def summary(self) -> str:
        return "normalise the inputs with a batch norm in front of the network"

    def apply(self, trial: Trial) -> Trial:
        def calls(ref: Ref, out: int, reader: Call) -> list[Call]:
            options = (None, None, None, None, True, 0.0, 1e-05)
            return [made("torch.nn.functional.batch_norm", out, ref, *options, like=reader)]

        turned = everywhere(
            trial, lambda p: fronted(p, self.slot, self.sites, calls), "no recorded call reads these inputs"
        )
        return noted(turned, self.name)

    def edit(self, sources: Sources) -> Sources:
        splices = in_front(sources, self.sites, self.positions, self._wrapped, self._layer)
        return gathered(sources, splices, "no call that reads the inputs was found")

    def _text(self, place: Place) -> str:
        kind = spelled(place.page, f"torch.nn.BatchNorm{self.dimensions}d")
        return f"{kind}({self.features}, affine=False, momentum=None)"

    def _layer(self, place: Place) -> tuple[str, tuple[Splice, ...]]:
        return self._text(place), tuple(needed(place, "torch.nn.BatchNorm1d"))

    def _wrapped(self, place: Place) -> tuple[Splice, ...]:
        line = f"self.input_norm = {self._text(place)}"
        made_in = built_first(place, line)
        return (*needed(place, "torch.nn.BatchNorm1d"), made_in, *place.wrapped("self.input_norm(", ")"))


def built_first(place: Place, line: str) -> Splice:
    """A new line in the `__init__` of the module around a place, after `super().__init__()`."""
    owner = place.page.around(place.node, ast.ClassDef)
    init = method(place.of(owner), "__init__") if owner else None
    if init is None:
        raise CannotEdit(f"{place.file}: the network is not a module with its own __init__")
    calls = (c for c in place.page.all(ast.Call, init.node) if isinstance(c.func, ast.Attribute))
    start = next((c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr == "__init__"), None)
    if start is None:
        raise CannotEdit(f"{place.file}: the module's __init__ does not call super().__init__()")
    return place.of(start).followed(line)
