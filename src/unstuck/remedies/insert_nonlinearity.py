"""Insert a ReLU between consecutive linear layers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._entrance import alike, is_forward, last_turn, over_layers
from unstuck.remedies._layers import items
from unstuck.remedies._meaning import constructed
from unstuck.remedies._moves import gathered, the_call
from unstuck.remedies._names import full_name, needed, spelled
from unstuck.remedies._program import everywhere, followed, noted, sites_of
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape import ops
from unstuck.tape.program import Call, Program, Weight

BETWEEN = ops.names(lambda op: not op.cuts and (op.hands_on or (op.kind == "pooling" and op.linear))) | {"batch_norm"}
"""Calls that keep two linear maps one linear map: detached, they are two networks."""
LAYERS = ops.modules(lambda op: op.kind == "layer")


class InsertNonlinearity(Treatment, frozen=True):
    """`sites`: the innermost sites of linear calls whose results the next linear call reads (of x @ W + b, the sum);
    `InsertNonlinearity.of(program)` finds them."""

    name: ClassVar[str] = "insert-nonlinearity"
    trust: ClassVar[Trust] = "likely"

    sites: tuple[Site, ...]

    @classmethod
    def of(cls, program: Program) -> InsertNonlinearity:
        """The remedy for every pair of linear calls with nothing nonlinear between them."""
        return cls(sites_of(straight(program)))

    def summary(self) -> str:
        return "insert a ReLU between the linear layers"

    def apply(self, trial: Trial) -> Trial:
        return noted(
            everywhere(trial, self._bent, "the recorded step has no two consecutive linear layers there"), self.name
        )

    def _bent(self, program: Program) -> Program:
        for call in straight(program):
            if call.site in self.sites:
                here = next(c for c in program.calls if c.outs == call.outs)
                program = followed(program, here, "torch.relu")
        return program

    def edit(self, sources: Sources) -> Sources:
        splices = (s for site in self.sites for s in _edited(sources, site))
        return gathered(sources, splices, "the linear layers were not found")


def straight(program: Program) -> list[Call]:
    """The last calls of linear maps that the next linear map reads without a nonlinearity between."""
    ends = []
    for call in program.calls:
        if is_linear(call) and (before := _linear_before(program, call)) is not None:
            ends.append(before)
    return list({c.outs: c for c in ends}.values())


def _linear_before(program: Program, call: Call) -> Call | None:
    """The call that ends the previous linear map, if nothing nonlinear lies between."""
    data = next((r for r in call.refs() if not isinstance(r, Weight)), None)
    here = program.maker(data) if data is not None else None
    end = here
    while here is not None and (here.name in BETWEEN or _adds_bias(here)):
        end = end if _adds_bias(end) else here
        following = next((r for r in here.refs() if not isinstance(r, Weight)), None)
        here = program.maker(following) if following is not None else None
        end = here if here is not None and not _adds_bias(end) else end
    return end if here is not None and is_linear(here) else None


def is_linear(call: Call) -> bool:
    """Whether a call applies weights to one value; a product of two values, as in attention, is nonlinear."""
    return call.name in ops.LAYERS and sum(not isinstance(r, Weight) for r in call.refs()) == 1


def _adds_bias(call: Call | None) -> bool:
    return call is not None and call.name in ("add", "iadd") and any(isinstance(r, Weight) for r in call.refs())


def _edited(sources: Sources, site: Site) -> Iterator[Splice]:
    place = the_call(sources, site, lambda p: isinstance(p.node, ast.Call | ast.BinOp))
    models = constructed(sources, place.of(place.node.func)) if isinstance(place.node, ast.Call) else []
    sequential = [m for m, name in models if name == "torch.nn.Sequential"]
    if sequential:
        for model in sequential[:1]:
            yield from _between(sources, model)
    elif (loop := over_layers(place)) is not None:
        yield from _but_the_last(place, loop)
    else:
        for one in [place] if is_forward(place) else alike(sources, place, 0):
            yield from (*needed(one, "torch.relu"), *one.wrapped(f"{spelled(one.page, 'torch.relu')}(", ")"))


def _between(sources: Sources, model: Place) -> Iterator[Splice]:
    """A ReLU after each linear layer of a Sequential that another one follows."""
    layers = items(sources, model)
    for i, layer in enumerate(layers):
        if _kind(layer) in LAYERS:
            following = next((_kind(x) for x in layers[i + 1 :] if _kind(x) not in QUIET), "")
            if following in LAYERS:
                yield from _behind(layer)


QUIET = ops.modules(lambda op: op.kind == "dropout" or op.name == "batch_norm")
QUIET |= {"Flatten", "Unflatten", "Identity", "LayerNorm", "AvgPool2d"}


def _kind(layer: Place) -> str:
    return full_name(layer.page, layer.node.func).rpartition(".")[2] if isinstance(layer.node, ast.Call) else ""


def _behind(layer: Place) -> Iterator[Splice]:
    page, node, parent = layer.page, layer.node, layer.page.parents[layer.node]
    text = f"{spelled(page, 'torch.nn.ReLU')}()"
    yield from needed(layer, "torch.nn.ReLU")
    if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute) and parent.func.attr == "append":
        yield layer.followed(f"{page.code(parent.func)}({text})")
    elif isinstance(parent, ast.Tuple):
        raise CannotEdit(f"{layer.file}: the layers have names; insert a ReLU after {layer.code} by hand")
    else:
        start, end = page.span(node)
        lead = page.text[page.line(getattr(node, "lineno", 1))[0] : start]
        gap = " " if lead.strip() else page.newline + lead
        yield Splice(layer.file, end, end, f",{gap}{text}")


def _but_the_last(place: Place, loop: ast.For) -> Iterator[Splice]:
    function = place.page.function(loop)
    later = [c for c in place.page.all(ast.Call, function) if c.lineno > (loop.end_lineno or loop.lineno)]
    relu = spelled(place.page, "torch.relu")
    yield from needed(place, "torch.relu")
    if any(isinstance(c.func, ast.Attribute | ast.Name) and "self." in place.page.code(c.func) for c in later):
        yield from place.wrapped(f"{relu}(", ")")
    else:
        yield place.instead(f"{place.code} if {last_turn(place, loop)} else {relu}({place.code})")
