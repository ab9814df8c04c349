"""Exclude padding from a mean or a softmax, or take the last position that is not padding."""

from __future__ import annotations

import ast
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._at import expression_at, node_at, not_by_replay
from unstuck.remedies._moves import arguments_of
from unstuck.remedies._names import full_name, spelled
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources

LOW = "-1e9"
"""Minus infinity would give NaN in a row that is all padding."""


class MaskPadding(Treatment, frozen=True):
    """A mask of the real positions is computed before the embedding at `embedding` and used at `site`.

    `form`: `mean`; `last`; `state` (a recurrent layer whose final state alone is read); for a softmax `weights` (rows,
    positions) or `column` (rows, positions, 1).
    """

    name: ClassVar[str] = "mask-padding"
    trust: ClassVar[Trust] = "likely"
    embedding: Site
    site: Site
    form: str
    pad: int = 0

    def summary(self) -> str:
        if self.form in ("last", "state"):
            return "take the last real position" if self.form == "last" else "pack the sequences before the layer"
        return "average over the real positions only" if self.form == "mean" else "weigh the real positions only"

    def apply(self, trial: Trial) -> Trial:
        return not_by_replay(
            trial, "the mask depends on the tokens, which the recorded step passes to the embedding only"
        )

    def edit(self, sources: Sources) -> Sources:
        embedding, place = node_at(sources, self.embedding, ast.Call), expression_at(sources, self.site)
        tokens, mask = embedding.of(arguments_of(embedding).args[0]).code, _free(embedding, "real")
        noted = embedding.preceded(f"{mask} = {tokens} != {self.pad}")
        if self.form in ("weights", "column"):
            weighed = _subject(place)
            told = f"~{mask}.unsqueeze(-1)" if self.form == "column" else f"~{mask}"
            masked = weighed.instead(f"{weighed.operand}.masked_fill({told}, {LOW})")
            return sources.spliced(noted, masked)
        return sources.spliced(noted, place.instead(self._used(place, mask)))

    def _used(self, place: Place, mask: str) -> str:
        if self.form == "mean":
            kept = f"({_subject(place).operand} * {mask}.unsqueeze(-1)).sum(1)"
            mean = f"{kept} / {mask}.sum(1, keepdim=True).clamp(min=1)"
            around = place.page.parents.get(place.node)
            return f"({mean})" if isinstance(around, ast.BinOp | ast.UnaryOp | ast.Attribute | ast.Subscript) else mean
        if self.form == "state":
            return _packed(place, mask)
        if not isinstance(place.node, ast.Subscript):
            raise CannotEdit(f"{place.file}: {place.code} does not index the last position")
        states = place.of(place.node.value).operand
        rows = f"{spelled(place.page, 'torch.arange')}(len({mask}))"
        return f"{states}[{rows}, {mask}.sum(1).clamp(min=1) - 1]"


def _packed(place: Place, mask: str) -> str:
    """The call of a recurrent layer, on packed sequences."""
    call = arguments_of(place)
    if not call.args:
        raise CannotEdit(f"{place.file}: {place.code} has no plain first argument")
    given, pack = place.of(call.args[0]).code, spelled(place.page, "torch.nn.utils.rnn.pack_padded_sequence")
    lengths = f"{mask}.sum(1).clamp(min=1).cpu()"
    packed = f"{pack}({given}, {lengths}, batch_first=True, enforce_sorted=False)"
    rest = [place.of(a).code for a in call.args[1:]]
    rest += [f"{k.arg}={place.of(k.value).code}" if k.arg else f"**{place.of(k.value).code}" for k in call.keywords]
    return f"{place.of(call.func).code}({', '.join([packed, *rest])})"


def _subject(place: Place) -> Place:
    """The tensor that `e.mean(1)` or `torch.mean(e, 1)` averages."""
    call = place.node
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute | ast.Name):
        raise CannotEdit(f"{place.file}: {place.code} is not a plain call")
    if isinstance(call.func, ast.Name) and not (full_name(place.page, call.func) and call.args):
        raise CannotEdit(f"{place.file}: cannot tell which tensor {place.code} reduces")
    if isinstance(call.func, ast.Name) or (full_name(place.page, call.func) and call.args):
        return place.of(call.args[0])
    return place.of(call.func.value)


def _free(place: Place, name: str) -> str:
    """A name that the function does not use yet."""
    function = place.page.function(place.node)
    taken = {n.id for n in place.page.all(ast.Name, function)} | {n.arg for n in place.page.all(ast.arg, function)}
    return next(n for n in (name, "not_padding", "real_positions", "real_") if n not in taken)
