"""Draw initial weights afresh: spread by the number of connections (Glorot and Bengio 2010), biases at zero."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from unstuck.diagnosis import Trust
from unstuck.remedies._loop import optimizers
from unstuck.remedies._meaning import assigned
from unstuck.remedies._moves import argument, gathered
from unstuck.remedies._names import needed, spelled
from unstuck.remedies._program import noted
from unstuck.remedy import CannotApply, CannotEdit, Treatment, Trial
from unstuck.source import Page, Place, Sources, Splice

SEED = 20
"""Of the generator that draws for the proof; the patch draws from the script's own."""
PATH = re.compile(r"[A-Za-z_]\w*(\.\w+)*")


class RedrawWeights(Treatment, frozen=True):
    """`names`: the weights (and biases) on the tape that are drawn anew, such as `model.fc1.weight`."""

    name: ClassVar[str] = "redraw-weights"
    trust: ClassVar[Trust] = "likely"

    names: tuple[str, ...]

    def summary(self) -> str:
        return "start from freshly drawn weights"

    def apply(self, trial: Trial) -> Trial:
        known = [n for n in self.names if n in trial.start]
        if not known:
            raise CannotApply("none of the weights is on the tape")
        generator = torch.Generator().manual_seed(SEED)
        fresh = {n: drawn(trial.start[n], generator) for n in known}
        return noted(trial.with_(start=trial.start | fresh), self.name)

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, self._splices(sources), "no place behind the weights' own start was found")

    def _splices(self, sources: Sources) -> Iterator[Splice]:
        bad = [n for n in self.names if not PATH.fullmatch(n)]
        if bad:
            raise CannotEdit(f"the weight {bad[0]} has no name of its own in the text")
        place, root = self._behind_start(sources)
        page = place.page
        lines = [line for n in self.names for line in _lines(page, _expression(n, root))]
        yield from needed(place, "torch.nn.init.zeros_")
        yield place.preceded(*lines)

    def _behind_start(self, sources: Sources) -> tuple[Place, str]:
        """The statement in front of which the new draw goes, and what the model is called there."""
        root = self.names[0].partition(".")[0]
        for call in optimizers(sources):
            given = argument(call, 0, "params")
            match = (
                re.match(r"(?:filter\(.*?,\s*)?\[?\{?(?:\*|list\()?\s*([\w.]+)\.parameters\(", given.code)
                if given
                else None
            )
            if match:
                return call, match.group(1)
            if given is not None and re.search(rf"\b{re.escape(root)}\b", given.code):
                return call, root
        return self._behind_definition(sources, root)

    def _behind_definition(self, sources: Sources, root: str) -> tuple[Place, str]:
        for whole in sources.pages():
            found = list(assigned(whole, root))
            if found:
                last = found[-1].page.statement(found[-1].node)
                block = whole.page.siblings(last)
                following = block[block.index(last) + 1 :]
                if following:
                    return whole.of(following[0]), root
        raise CannotEdit(f"no place was found behind the first weights of {root}")


def drawn(old: Tensor, generator: torch.Generator) -> Tensor:
    """A weight of the same shape and kind, drawn anew; vectors are biases and become zero."""
    if old.dim() < 2:
        return torch.zeros_like(old)
    return nn.init.xavier_uniform_(torch.empty_like(old), generator=generator)


def _expression(name: str, root: str) -> str:
    """The weight in the text: `model.0.weight` on the tape is `model[0].weight` in the script."""
    _, _, path = name.partition(".")
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", f"{root}.{path}" if path else root)


def _lines(page: Page, expression: str) -> Iterator[str]:
    # A vector is a bias; what it is stands in its name, for the text does not tell its shape.
    last = expression.rpartition(".")[2]
    is_bias = "bias" in last or re.fullmatch(r"b\d*", last)
    yield f"{spelled(page, 'torch.nn.init.zeros_' if is_bias else 'torch.nn.init.xavier_uniform_')}({expression})"
