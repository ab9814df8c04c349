"""Train in units of the targets' standard deviation: output * std + mean, and a loss on standardised residuals.

Predictions stay in the original units, so the evaluation code needs no change.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._entrance import behind
from unstuck.remedies._moves import around, gathered, number, rounded, the_call, top_names
from unstuck.remedies._names import at_top, spelled
from unstuck.remedies._program import at, changed, everywhere, followed, made, noted, source_of
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.program import Call, Program, Ref, Value

LAYER = '''
class {name}({module}):
    """Brings the output to the units of the targets, as measured on the training data."""

    def forward(self, x):
        return x * {std} + {mean}
'''


class StandardiseTargets(Treatment, frozen=True):
    """`mean` and `std` of the targets; `output`: the innermost site of the call that makes the prediction; `loss`: the
    site of the loss call (or of the subtraction, if the loss is written by hand)."""

    name: ClassVar[str] = "standardise-targets"
    trust: ClassVar[Trust] = "likely"

    mean: float
    std: float
    output: Site
    loss: Site

    def summary(self) -> str:
        return "train on standardised targets"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, "the recorded step makes no prediction there"), self.name)

    def _turned(self, program: Program) -> Program:
        mean, std = rounded(self.mean), rounded(self.std)
        loss = next((c for c in reversed(program.calls) if at(c, self.loss) and len(c.refs()) > 1), None)
        if loss is None:
            return program
        output = next((o for r in loss.refs() if (o := _output(program, r, self.output)) is not None), None)
        if output is None:
            return program
        program = followed(program, output, "torch.mul", std)
        program = followed(
            program, next(c for c in program.calls if c.args[:2] == (Value(output.outs[0]), std)), "torch.add", mean
        )
        loss = next(c for c in program.calls if c.outs == loss.outs)
        if loss.name in ("sub", "rsub"):
            return followed(program, loss, "torch.div", std)
        return _divided(program, loss.outs[0], mean, std)

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, self._splices(sources), "the call of the loss was not found")

    def _splices(self, sources: Sources) -> Iterator[Splice]:
        loss = the_call(sources, self.loss, lambda p: isinstance(p.node, ast.Call | ast.BinOp))
        yield from self._constants(loss)
        yield from behind(sources, self.output, self._rescaled, self._layer)
        mean, std = top_names(loss, "TARGET_MEAN", "TARGET_STD")
        if isinstance(loss.node, ast.BinOp):
            yield from loss.wrapped("(", f" / {std})")
            return
        assert isinstance(loss.node, ast.Call)
        for side in loss.node.args[:2]:
            yield from around(loss.of(side), f" - {mean}", f" / {std}")

    def _constants(self, place: Place) -> tuple[Splice, ...]:
        mean, std = top_names(place, "TARGET_MEAN", "TARGET_STD")
        return tuple(at_top(place, "", f"{mean} = {number(self.mean)}", f"{std} = {number(self.std)}"))

    def _rescaled(self, place: Place) -> tuple[Splice, ...]:
        mean, std = top_names(place, "TARGET_MEAN", "TARGET_STD")
        return (*self._constants(place), *around(place, f" * {std}", f" + {mean}", nested=False))

    def _layer(self, place: Place) -> tuple[str, tuple[Splice, ...]]:
        name, mean, std = top_names(place, "ToTargetUnits", "TARGET_MEAN", "TARGET_STD")
        module = spelled(place.page, "torch.nn.Module")
        lines = LAYER.format(name=name, module=module, mean=mean, std=std).splitlines()
        return f"{name}()", (*self._constants(place), *at_top(place, "", *lines, ""))


def _output(program: Program, ref: Ref, site: Site) -> Call | None:
    """The call at the site that a value comes from, through calls that only pass it on."""
    call = source_of(program, ref)
    return call if call is not None and call.site == site else None


def _divided(program: Program, out: int, mean: float, std: float) -> Program:
    """The first two arguments of the loss, minus the mean and divided by std."""
    loss = next(c for c in program.calls if c.outs == (out,))
    free, new, sides = program.fresh(), [], list(loss.args)
    for i, side in enumerate(sides[:2]):
        new += [
            made("torch.sub", free, side, mean, like=loss),
            made("torch.div", free + 1, Value(free), std, like=loss),
        ]
        sides[i] = Value(free + 1)
        free += 2
    return program.replaced(loss, *new, changed(loss, args=tuple(sides)))
