"""Replace NaN and infinity in the inputs by zero."""

from __future__ import annotations

from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._entrance import entering, fronted, in_front
from unstuck.remedies._moves import gathered, top_names
from unstuck.remedies._names import at_top, needed, spelled
from unstuck.remedies._program import everywhere, made, noted
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Call, Program, Ref

OPTIONS = "nan=0.0, posinf=0.0, neginf=0.0"
LAYER = '''
class {name}({module}):
    """Replace NaN and infinity by zero."""

    def forward(self, x):
        return {clean}(x, {options})
'''


class CleanInputs(Treatment, frozen=True):
    """`slot`, `sites` and `positions` as in StandardiseInputs; `CleanInputs.of` fills in the last two."""

    name: ClassVar[str] = "clean-inputs"
    trust: ClassVar[Trust] = "likely"

    slot: int
    sites: tuple[Site, ...] = ()
    positions: tuple[int, ...] = ()

    @classmethod
    def of(cls, program: Program, slot: int) -> CleanInputs:
        """The remedy for a slot of a program, with the sites that read it."""
        return cls(slot, *entering(program, slot))

    def summary(self) -> str:
        return "replace NaN and infinity in the inputs by zero"

    def apply(self, trial: Trial) -> Trial:
        def calls(ref: Ref, out: int, reader: Call) -> list[Call]:
            return [made("torch.nan_to_num", out, ref, 0.0, 0.0, 0.0, like=reader)]

        turned = everywhere(
            trial, lambda p: fronted(p, self.slot, self.sites, calls), "no recorded call reads these inputs"
        )
        return noted(turned, self.name)

    def edit(self, sources: Sources) -> Sources:
        splices = in_front(sources, self.sites, self.positions, _wrapped, _layer)
        return gathered(sources, splices, "no call that reads the inputs was found")


def _wrapped(place: Place) -> tuple[Splice, ...]:
    clean = spelled(place.page, "torch.nan_to_num")
    return (*needed(place, "torch.nan_to_num"), *place.wrapped(f"{clean}(", f", {OPTIONS})"))


def _layer(place: Place) -> tuple[str, tuple[Splice, ...]]:
    (name,) = top_names(place, "Clean")
    module, clean = spelled(place.page, "torch.nn.Module"), spelled(place.page, "torch.nan_to_num")
    lines = LAYER.format(name=name, module=module, clean=clean, options=OPTIONS).splitlines()
    return f"{name}()", (*needed(place, "torch.nan_to_num"), *at_top(place, "", *lines))
