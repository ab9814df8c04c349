"""Lower a dropout probability that drops nearly everything."""

from __future__ import annotations

import ast
from typing import ClassVar

import msgspec

from unstuck.diagnosis.model import Trust
from unstuck.remedies._made import moved
from unstuck.remedies._moves import argument, gathered, short
from unstuck.remedies._names import full_name
from unstuck.remedies._program import changed, everywhere, noted
from unstuck.remedies.treatment import CannotEdit, Treatment, Trial
from unstuck.source.origins import origins
from unstuck.source.text import Place, Sources
from unstuck.tape import ops
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Program

MODULES = ops.modules(lambda op: op.kind == "dropout")


class SetDropout(Treatment, frozen=True):
    """Every dropout with a probability above `above` gets `p`."""

    name: ClassVar[str] = "set-dropout"
    trust: ClassVar[Trust] = "likely"

    p: float = 0.1
    above: float = 0.5
    choice: int = 0
    """Which of the places that may hold it, best first."""

    def summary(self) -> str:
        return f"set the dropout probability to {short(self.p)}"

    def apply(self, trial: Trial) -> Trial:
        return noted(everywhere(trial, self._weaker, f"no recorded dropout is above {short(self.above)}"), self.name)

    def _weaker(self, program: Program) -> Program:
        return msgspec.structs.replace(program, calls=tuple(self._call(c) for c in program.calls))

    def _call(self, call: Call) -> Call:
        p = call.argument(1, "p", 0.5)
        if call.op.kind != "dropout" or not isinstance(p, float) or p <= self.above:
            return call
        if len(call.args) > 1:
            return changed(call, args=(call.args[0], self.p, *call.args[2:]))
        return changed(call, kwargs={**call.kwargs, "p": self.p})

    def edit(self, sources: Sources) -> Sources:
        found = [p for w in sources.pages() for c in w.page.all(ast.Call) if (p := _probability(w.of(c))) is not None]
        strong = [origins(sources, place, "p", self._is_strong, exact=False) for place in found]
        if not any(strong):
            raise CannotEdit(f"no dropout above {short(self.above)} was found")
        return gathered(sources, moved(strong, lambda _: self.p, self.choice), "no dropout was found")

    def _is_strong(self, value: float) -> bool:
        return self.above < value <= 1

    def elsewhere(self) -> Treatment:
        return SetDropout(self.p, self.above, self.choice + 1)

    def took(self, before: Tape, after: Tape) -> bool:
        calls = (c for p in after.passes for c in after.programs[p.program].calls if c.op.kind == "dropout")
        return all(rate <= self.above for c in calls if isinstance(rate := c.argument(1, "p", 0.5), float))


def _probability(call: Place) -> Place | None:
    assert isinstance(call.node, ast.Call)
    last = full_name(call.page, call.node.func).rpartition(".")[2]
    if last in MODULES:
        return argument(call, 0, "p")
    return argument(call, 1, "p") if "dropout" in last else None
