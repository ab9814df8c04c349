"""Replace a loss on probabilities by the one that takes raw outputs and applies the activation itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._activation import on_logits
from unstuck.remedies._moves import gathered, the_call
from unstuck.remedies._names import needed, spelled
from unstuck.remedies._outputs import restored, same_outputs
from unstuck.remedies._program import everywhere, noted, raw_loss
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Place, Sources, Splice

FITTING = {
    "binary_cross_entropy": ("torch.nn.BCELoss", "torch.nn.functional.binary_cross_entropy"),
    "nll_loss": ("torch.nn.NLLLoss", "torch.nn.functional.nll_loss"),
}


class AddActivation(Treatment, frozen=True):
    """`loss`: the innermost site of the loss call; `function`: its name in the program (binary_cross_entropy or
    nll_loss). The patch changes the loss; thresholds and rounding that expect probabilities get a sigmoid."""

    name: ClassVar[str] = "add-activation"
    trust: ClassVar[Trust] = "safe"

    loss: Site
    function: str

    def summary(self) -> str:
        new = "BCEWithLogitsLoss" if self.function == "binary_cross_entropy" else "CrossEntropyLoss"
        return f"use {new}, which takes raw outputs"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, raw_loss, "the recorded step has no loss on probabilities"), self.name)

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, self._splices(sources), "the call of the loss was not found")

    def _splices(self, sources: Sources) -> Iterator[Splice]:
        yield from on_logits(sources, *FITTING[self.function])
        if self.function == "binary_cross_entropy":
            loss = the_call(sources, self.loss, lambda p: isinstance(p.node, ast.Call) and bool(p.node.args))
            assert isinstance(loss.node, ast.Call)
            outputs = same_outputs(sources, loss.of(loss.node.args[0]))
            back = list(restored(sources, outputs, _sigmoid))
            yield from back
            for whole in sources.pages():
                if any(s.file == whole.file for s in back):
                    yield from needed(whole, "torch.sigmoid")


def _sigmoid(place: Place) -> tuple[str, str]:
    return f"{spelled(place.page, 'torch.sigmoid')}(", ")"
