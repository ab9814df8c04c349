"""Standardise the inputs: (x - mean) / std before the network, with statistics of the recorded batches."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import ClassVar

import torch

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._entrance import device_of, entering, fronted, in_front
from unstuck.remedies._moves import around, gathered, number, rounded, top_names
from unstuck.remedies._names import at_top, needed, spelled
from unstuck.remedies._program import everywhere, made, noted
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Call, Constant, Program, Ref, Value

LAYER = '''
class {name}({module}):
    """Brings the inputs to mean 0 and standard deviation 1, as measured on the training data."""

    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", {tensor}(mean){shape})
        self.register_buffer("std", {tensor}(std){shape})

    def forward(self, x):
        {fill}return {standardised}
'''
FILLED = "x = {where}(x == {missing}, {mean}, x)  # {missing} stands for a missing value\n"
FUNCTION = '''
def {name}(x):
    """Brings the inputs to mean 0 and standard deviation 1."""
    {fill}return {standardised}
'''


class StandardiseInputs(Treatment, frozen=True):
    """`slot` of the first program holds the inputs; `mean` and `std`: one number for all, or one per feature along
    `axis` (negative). `sites`: innermost sites of the calls that read the slot; `positions`: its position among their
    arguments, for each site (`StandardiseInputs.of` fills in both). `missing`: a placeholder for missing values,
    replaced by the mean. `clip`: largest distance from the mean, in standard deviations, for outliers; mean and std are
    those of the other values."""

    name: ClassVar[str] = "standardise-inputs"
    trust: ClassVar[Trust] = "likely"

    slot: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    axis: int = -1
    sites: tuple[Site, ...] = ()
    positions: tuple[int, ...] = ()
    missing: float | None = None
    clip: float | None = None

    @classmethod
    def of(
        cls,
        program: Program,
        slot: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        axis: int = -1,
        missing: float | None = None,
        clip: float | None = None,
    ) -> StandardiseInputs:
        """The remedy for a slot of a program, with the sites that read it."""
        sites, positions = entering(program, slot)
        return cls(slot, mean, std, axis, sites, positions, missing, clip)

    def summary(self) -> str:
        gaps = (
            "" if self.missing is None else f", and replace the missing-value code {number(self.missing)} by the mean"
        )
        return "standardise the inputs" + gaps + ("" if self.clip is None else ", and clip outliers")

    def apply(self, trial: Trial) -> Trial:
        mean, std = f"input-mean-{self.slot}", f"input-std-{self.slot}"
        constants = {mean: self._tensor(self.mean), std: self._tensor(self.std)}

        def calls(ref: Ref, out: int, reader: Call) -> list[Call]:
            filled: list[Call] = []
            if self.missing is not None:
                gap = made("torch.eq", out, ref, self.missing, like=reader)
                filled = [gap, made("torch.where", out + 1, Value(out), Constant(mean), ref, like=reader)]
                ref, out = Value(out + 1), out + 2
            centred = made("torch.sub", out, ref, Constant(mean), like=reader)
            scaled = made("torch.div", out + 1, Value(out), Constant(std), like=reader)
            if self.clip is None:
                return [*filled, centred, scaled]
            cut = made("torch.clamp", out + 2, Value(out + 1), -self.clip, self.clip, like=reader)
            return [*filled, centred, scaled, cut]

        turned = everywhere(
            trial, lambda p: fronted(p, self.slot, self.sites, calls), "no recorded call reads these inputs"
        )
        return noted(turned.with_(constants=trial.constants | constants), self.name)

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, self._splices(sources), "no call that reads the inputs was found")

    def _tensor(self, values: tuple[float, ...]) -> torch.Tensor:
        tensor = torch.tensor([rounded(v) for v in values])
        return tensor[0] if len(values) == 1 else tensor.view(-1, *[1] * (-self.axis - 1))

    def _splices(self, sources: Sources) -> Iterator[Splice]:
        yield from in_front(sources, self.sites, self.positions, self._wrapped, self._layer)

    def _wrapped(self, place: Place) -> tuple[Splice, ...]:
        mean, std = top_names(place, "INPUT_MEAN", "INPUT_STD")
        tensor = spelled(place.page, "torch.tensor")
        shape = _shape(self.axis)
        if self.missing is not None or self.clip is not None:
            return self._by_function(place, mean, std)
        if len(self.mean) == 1:
            lines = [f"{mean} = {number(self.mean[0])}", f"{std} = {number(self.std[0])}"]
            return (*at_top(place, "", *lines), *around(place, f" - {mean}", f" / {std}"))
        lines = [
            *_written(f"{mean} = {tensor}(", self.mean, f"){shape}"),
            *_written(f"{std} = {tensor}(", self.std, f"){shape}"),
        ]
        moved = device_of(place)
        wrap = around(place, f" - {mean}{moved}", f" / {std}{moved}")
        return (*needed(place, "torch.tensor"), *at_top(place, "", *lines), *wrap)

    def _by_function(self, place: Place, mean: str, std: str) -> tuple[Splice, ...]:
        """If it takes more than a difference and a quotient, a function is defined."""
        (name,) = top_names(place, "standardised")
        shape, tensor = _shape(self.axis), spelled(place.page, "torch.tensor")
        moved = ".to(x.device)" if device_of(place) else ""
        function = FUNCTION.format(
            name=name,
            fill=self._fill(place, mean + moved, "    "),
            standardised=self._standardised(mean + moved, std + moved),
        )
        lines = [
            *_written(f"{mean} = {tensor}(", self._nested(self.mean), f"){shape if len(self.mean) > 1 else ''}"),
            *_written(f"{std} = {tensor}(", self._nested(self.std), f"){shape if len(self.std) > 1 else ''}"),
        ]
        above = at_top(place, "", *lines, "", *function.splitlines())
        return (*needed(place, "torch.tensor"), *above, *place.wrapped(f"{name}(", ")"))

    def _layer(self, place: Place) -> tuple[str, tuple[Splice, ...]]:
        name, mean, std = top_names(place, "Standardise", "INPUT_MEAN", "INPUT_STD")
        shape = _shape(self.axis) if len(self.mean) > 1 else ""
        names = {
            "shape": shape,
            "module": spelled(place.page, "torch.nn.Module"),
            "tensor": spelled(place.page, "torch.tensor"),
            "fill": self._fill(place, "self.mean", "        "),
            "standardised": self._standardised("self.mean", "self.std"),
        }
        lines = [
            *_written(f"{mean} = ", self._nested(self.mean), ""),
            *_written(f"{std} = ", self._nested(self.std), ""),
        ]
        above = (
            *needed(place, "torch.tensor"),
            *at_top(place, "", *lines, "", *LAYER.format(name=name, **names).splitlines()),
        )
        return f"{name}({mean}, {std})", above

    def _fill(self, place: Place, mean: str, indent: str) -> str:
        if self.missing is None:
            return ""
        where = spelled(place.page, "torch.where")
        return FILLED.format(where=where, missing=number(self.missing), mean=mean) + indent

    def _standardised(self, mean: str, std: str) -> str:
        plain = f"(x - {mean}) / {std}"
        return plain if self.clip is None else f"({plain}).clamp({-self.clip:g}, {self.clip:g})"

    def _nested(self, values: tuple[float, ...]) -> tuple[float, ...] | float:
        return values[0] if len(values) == 1 else values


def _shape(axis: int) -> str:
    return f".view(-1, {', '.join('1' * (-axis - 1))})" if axis < -1 else ""


def _written(before: str, values: tuple[float, ...] | float, after: str) -> list[str]:
    """A definition, its numbers wrapped over several lines if needed."""
    if isinstance(values, float | int):
        return [before + number(values) + after]
    text = ", ".join(number(v) for v in values)
    if len(before) + len(text) + len(after) < 100:
        return [f"{before}[{text}]{after}"]
    return [f"{before}[", *textwrap.wrap(text, 96, initial_indent="    ", subsequent_indent="    "), f"]{after}"]
