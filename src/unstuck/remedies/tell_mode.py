"""Pass the training mode to functions that drop units."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import node_at, not_by_replay
from unstuck.remedies._moves import argument, arguments_of, set_argument
from unstuck.remedies.treatment import Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape.modes import ATTENTION


class TellMode(Treatment, frozen=True):
    """The calls at `sites` get `training=self.training`; attention drops `if self.training` only."""

    name: ClassVar[str] = "tell-mode"
    trust: ClassVar[Trust] = "safe"
    sites: tuple[Site, ...]

    def summary(self) -> str:
        return "let the function drop units in training mode only (self.training)"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(trial, "it changes the evaluation, not the training")

    def edit(self, sources: Sources) -> Sources:
        return sources.spliced(*(self._told(sources, site) for site in self.sites))

    def _told(self, sources: Sources, site: Site) -> Splice:
        call = node_at(sources, site, ast.Call)
        share = argument(call, 4, "dropout_p")
        if share is None or last_name(call) != ATTENTION:
            return set_argument(sources, call, 2, "training", "self.training")
        return share.instead(f"{bracketed(share)} if self.training else 0.0")


def last_name(call: Place) -> str:
    """The name that a call is made by, without what stands before its dot."""
    return ast.unparse(arguments_of(call).func).rpartition(".")[2]


def bracketed(value: Place) -> str:
    """The text of an expression, in brackets where `if` behind it would be read otherwise."""
    plain = isinstance(value.node, ast.Name | ast.Attribute | ast.Constant | ast.Call | ast.Subscript)
    return value.code if plain else f"({value.code})"
