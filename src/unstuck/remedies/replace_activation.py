"""Replace hidden sigmoid or tanh activations, whose gradients vanish, by ReLU."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

import msgspec

from unstuck.diagnosis.model import Site, Trust
from unstuck.remedies._layers import items
from unstuck.remedies._meaning import applied, constructed, meant
from unstuck.remedies._moves import folded, gathered
from unstuck.remedies._names import full_name, needed, spelled
from unstuck.remedies._program import changed, everywhere, noted, sites_of
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.text import Place, Sources, Splice
from unstuck.tape import ops
from unstuck.tape.program import Call, Program, Value


class ReplaceActivation(Treatment, frozen=True):
    """`old`: name of the function in the program; `sites`: its uses before another layer; `last`: those of them that
    the output shares (in a Sequential), which keeps the old one."""

    name: ClassVar[str] = "replace-activation"
    trust: ClassVar[Trust] = "likely"

    old: str
    sites: tuple[Site, ...]
    last: tuple[Site, ...] = ()
    new: str = "relu"

    @classmethod
    def of(cls, program: Program, old: str, new: str = "relu") -> ReplaceActivation:
        """The remedy for every hidden use of a function."""
        calls = [c for c in program.calls if c.name == old]
        inner, outer = (
            sites_of(c for c in calls if hidden(program, c)),
            sites_of(c for c in calls if not hidden(program, c)),
        )
        return cls(old, inner, tuple(s for s in inner if s in outer), new)

    def summary(self) -> str:
        return f"replace the hidden {self.old} by {self.new}"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._turned, f"the recorded step has no hidden {self.old} there"), self.name)

    def _turned(self, program: Program) -> Program:
        def turn(c: Call) -> Call:
            here = c.name == self.old and c.site in self.sites and hidden(program, c)
            return changed(c, function=f"torch.{self.new}", args=c.args[:1], kwargs={}) if here else c

        return msgspec.structs.replace(program, calls=tuple(turn(c) for c in program.calls))

    def edit(self, sources: Sources) -> Sources:
        splices = [s for site in self.sites for s in self._at(sources, site)]
        return gathered(sources, splices, f"no hidden {self.old} was found")

    def _at(self, sources: Sources, site: Site) -> Iterator[Splice]:
        for place in sources.calls(site):
            if folded(applied(sources, place)) == folded(self.old):
                yield from self._called(sources, place)
                return
            if isinstance(place.node, ast.Call):
                models = [m for m, n in constructed(sources, place.of(place.node.func)) if n == "torch.nn.Sequential"]
                if models:
                    yield from self._listed(sources, models[0], keep=site in self.last)
                    return
        raise CannotEdit(f"{site.file}, line {site.line}: the {self.old} was not found")

    def _called(self, sources: Sources, place: Place) -> Iterator[Splice]:
        node = place.node
        assert isinstance(node, ast.Call)
        yield from needed(place, f"torch.{self.new}")
        direct = full_name(place.page, node.func)
        named = [] if direct else meant(sources, place.of(node.func))
        if isinstance(node.func, ast.Attribute) and not direct and named[0].node is node.func:
            end = place.page.span(node.func)[1]
            yield Splice(place.file, end - len(node.func.attr), end, self.new)
        elif direct or self._serves_the_output(sources, place):
            yield place.of(node.func).instead(spelled(place.page, f"torch.{self.new}"))
        else:
            yield from (self._redefined(v) for v in named)

    def _redefined(self, value: Place) -> Splice:
        module = isinstance(value.node, ast.Call)
        return value.instead(
            spelled(value.page, _module(self.new)) + "()" if module else spelled(value.page, f"torch.{self.new}")
        )

    def _serves_the_output(self, sources: Sources, place: Place) -> bool:
        """Whether the same function object is called at an output that keeps it."""
        assert isinstance(place.node, ast.Call)
        name = place.of(place.node.func).code
        calls = [c for c in place.page.all(ast.Call) if place.page.code(c.func) == name]
        return any(all(p.node is not c for s in self.sites for p in sources.calls(s)) for c in calls)

    def _listed(self, sources: Sources, model: Place, keep: bool) -> Iterator[Splice]:
        layers = [i for i in items(sources, model) if folded(_kind(i)) == folded(self.old)]
        for layer in layers[:-1] if keep else layers:
            yield layer.instead(f"{spelled(layer.page, _module(self.new))}()")


def _kind(layer: Place) -> str:
    return (
        full_name(layer.page, layer.node.func)
        if isinstance(layer.node, ast.Call)
        else full_name(layer.page, layer.node)
    )


def _module(function: str) -> str:
    return f"torch.nn.{ops.of(function).modules[0]}"


def hidden(program: Program, call: Call) -> bool:
    """Whether another layer reads a result, through calls that only pass it on."""
    for user in program.users(Value(call.outs[0])):
        passed = user.op.hands_on or user.op.kind == "norm"
        if user.name in ops.LAYERS or (passed and hidden(program, user)):
            return True
    return False
