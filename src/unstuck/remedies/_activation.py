"""Taking an activation off the network's output, and the loss that fits what is left."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Site
from unstuck.remedies._layers import items
from unstuck.remedies._meaning import applied, constructed
from unstuck.remedies._moves import call_to, dropped, folded, unwrapped
from unstuck.remedies._names import full_name, needed, spelled
from unstuck.remedies._outputs import construction_called, restored
from unstuck.remedies.treatment import CannotEdit
from unstuck.source.text import Place, Sources, Splice

ON_LOGITS = {
    "torch.nn.BCELoss": "torch.nn.BCEWithLogitsLoss",
    "torch.nn.functional.binary_cross_entropy": "torch.nn.functional.binary_cross_entropy_with_logits",
    "torch.nn.NLLLoss": "torch.nn.CrossEntropyLoss",
    "torch.nn.functional.nll_loss": "torch.nn.functional.cross_entropy",
}
"""Losses on probabilities (or their logarithms), and the same losses on raw outputs."""


def taken_off(sources: Sources, site: Site, function: str) -> Iterator[Splice]:
    """The splices that take an activation away at its call's site, and give it back to all uses but the loss."""
    call, splice, outputs = _found(sources, site, function)
    back = list(restored(sources, outputs, lambda place: _text(call, place, function)))
    inside = [s for s in back if s.file == splice.file and splice.start <= s.start and s.end <= splice.end]
    if inside and splice.text:
        raise CannotEdit(f"{site.file}, line {site.line}: cannot edit: {call.code} is used for more than the loss")
    yield splice
    yield from back
    for whole in sources.pages():
        if any(s.file == whole.file for s in back):
            yield from needed(whole, "torch.sigmoid")


def _found(sources: Sources, site: Site, function: str) -> tuple[Place, Splice, list[Place]]:
    """The activation's call (or construction), the splice that removes it, and where its value comes out."""
    applies = call_to(sources, function)
    for place in sources.calls(site):
        if applies(place):
            return place, unwrapped(place), [place]
    for place in sources.calls(site):
        if isinstance(place.node, ast.Call):
            for model, name in constructed(sources, place.of(place.node.func)):
                last = items(sources, model)[-1:] if name == "torch.nn.Sequential" else []
                if last and folded(applied(sources, last[0]) or last[0].code) == folded(function):
                    return last[0], dropped(last[0]), construction_called(sources, model)
    raise CannotEdit(f"{site.file}, line {site.line}: no {function} call was found there that can be removed")


def made_by(sources: Sources, site: Site, function: str) -> tuple[Place, list[Place]]:
    """The activation's call (or construction) at a site, and where its value comes out."""
    call, _, outputs = _found(sources, site, function)
    return call, outputs


def _text(call: Place, use: Place, function: str) -> tuple[str, str]:
    """The activation in a file's own words, to go around a use."""
    dim = _dim(call) if "softmax" in function else None
    return f"{spelled(use.page, f'torch.{function}')}(", f", dim={dim})" if dim else ")"


def _dim(call: Place) -> str:
    assert isinstance(call.node, ast.Call)
    by_name = next((call.of(k.value).code for k in call.node.keywords if k.arg == "dim"), None)
    by_place = next((call.of(a).code for a in call.node.args if isinstance(a, ast.Constant | ast.UnaryOp)), None)
    return by_name or by_place or "1"


def on_logits(sources: Sources, *names: str) -> Iterator[Splice]:
    """The splices that put losses on raw outputs in the place of those named (full names of ON_LOGITS)."""
    for whole in sources.pages():
        for call in whole.page.all(ast.Call):
            old = full_name(whole.page, call.func)
            if old in names:
                yield from needed(whole, ON_LOGITS[old])
                yield whole.of(call.func).instead(spelled(whole.page, ON_LOGITS[old]))
