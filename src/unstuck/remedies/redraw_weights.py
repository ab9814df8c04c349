"""Redraw initial weights: scaled by fan-in and fan-out (Glorot and Bengio 2010), biases zero."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from unstuck.diagnosis.model import Trust
from unstuck.remedies._loop import optimizers
from unstuck.remedies._meaning import assigned
from unstuck.remedies._moves import argument, gathered
from unstuck.remedies._names import needed, spelled
from unstuck.remedies._program import noted, root_of
from unstuck.remedies.treatment import CannotApply, CannotEdit, Treatment, Trial
from unstuck.source.text import Page, Place, Sources, Splice
from unstuck.tape import ops

SEED = 20
"""Of the replay's generator; the patched script uses its own."""
PATH = re.compile(r"[A-Za-z_]\w*(\.\w+)*")


class RedrawWeights(Treatment, frozen=True):
    """`names`: weights and biases on the tape, such as `model.fc1.weight`; `relu`: they feed ReLU units, so they are
    larger by the square root of 2 (He et al. 2015)."""

    name: ClassVar[str] = "redraw-weights"
    trust: ClassVar[Trust] = "likely"

    names: tuple[str, ...]
    relu: bool = False

    def summary(self) -> str:
        return "reinitialise the weights"

    def apply(self, trial: Trial) -> Trial:
        known = [n for n in self.names if n in trial.start]
        if not known:
            raise CannotApply("none of these weights is on the tape")
        generator = torch.Generator().manual_seed(SEED)
        fresh = {n: drawn(trial.start[n], generator, self.relu) for n in known}
        return noted(trial.with_(start=trial.start | fresh), self.name)

    def edit(self, sources: Sources) -> Sources:
        return gathered(sources, self._splices(sources), "no place after the initialisation of the weights was found")

    def _splices(self, sources: Sources) -> Iterator[Splice]:
        bad = [n for n in self.names if not PATH.fullmatch(n)]
        if bad:
            raise CannotEdit(f"the weight {bad[0]} has no name in the script")
        place, root = _behind_start(sources, root_of(self.names[0]))
        lines = [_line(place.page, _expression(n, root), ", gain=2**0.5" if self.relu else "") for n in self.names]
        yield from needed(place, "torch.nn.init.zeros_")
        yield place.preceded(*lines)


def _behind_start(sources: Sources, root: str) -> tuple[Place, str]:
    """The statement before which the new initialisation goes, and the name of the model there."""
    given = [(c, argument(c, 0, "params")) for c in optimizers(sources)]
    named = [(c, g.code) for c, g in given if g is not None]
    for call, code in named:
        if re.search(rf"(?<![\w.]){re.escape(root)}\b", code):
            return call, root
    models = [(c, m.group(1)) for c, code in named if (m := re.search(r"([A-Za-z_][\w.]*)\.parameters\(", code))]
    return models[0] if len(models) == 1 else _behind_definition(sources, root)


def _behind_definition(sources: Sources, root: str) -> tuple[Place, str]:
    for whole in sources.pages():
        for value in list(assigned(whole, root))[-1:]:
            statement = whole.page.statement(value.node)
            block = whole.page.siblings(statement)
            following = block[block.index(statement) + 1 :]
            if following:
                return whole.of(following[0]), root
    raise CannotEdit(f"no place after the initialisation of {root} was found")


def drawn(old: Tensor, generator: torch.Generator, relu: bool = False) -> Tensor:
    """A weight of the same shape and dtype, redrawn; vectors are biases and become zero."""
    if old.dim() < 2:
        return torch.zeros_like(old)
    return nn.init.xavier_uniform_(torch.empty_like(old), gain=2**0.5 if relu else 1.0, generator=generator)


def rectified(names: Iterable[str]) -> bool:
    """Whether a program with calls of these names has ReLU-like activations and none that saturate."""
    called = {name.rstrip("_") for name in names}
    return bool(called & ops.RECTIFIERS) and not called & ops.SATURATING


def _expression(name: str, root: str) -> str:
    """The weight in the text: `model.0.weight` on the tape is `model[0].weight` in the script."""
    path = name.removeprefix(root_of(name))
    return root + re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", path)


def _line(page: Page, expression: str, gain: str = "") -> str:
    """The text does not show the shape: the name says what is a bias; if it does not, the script tests the
    dimension."""
    last = expression.rpartition(".")[2]
    zeros, uniform = (
        f"{spelled(page, f'torch.nn.init.{f}')}({expression}{more})"
        for f, more in (("zeros_", ""), ("xavier_uniform_", gain))
    )
    if "bias" in last or re.fullmatch(r"b\d*", last):
        return zeros
    return uniform if "weight" in last or last[0] in "wW" else f"{uniform} if {expression}.dim() > 1 else {zeros}"
