"""Which weights get a gradient from the loss, and the calls that cut the graph between them."""

from __future__ import annotations

from dataclasses import dataclass

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.task import main_program
from unstuck.tape.abstract import Knowns, blocks
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Program, Ref, Value, Weight


@dataclass(frozen=True)
class Reach:
    """The weights of all training programs, and what cuts them from the loss."""

    program: Program
    """The main program."""
    used: frozenset[str]
    """The weights that any training program reads."""
    taught: frozenset[str]
    """Those that some program's loss reaches by gradient."""
    cuts: tuple[Call, ...]
    """Calls of the main program that cut a way from a weight to the loss."""

    @classmethod
    def read(cls, tape: Tape) -> Reach:
        numbers = dict.fromkeys(p.program for p in tape.passes)
        programs = tuple(tape.programs[n] for n in numbers if tape.programs[n].loss >= 0)
        if not programs:
            raise NotApplicable("no training step was recorded")
        used = frozenset(name for p in programs for name in p.weights())
        taught = frozenset(name for p in programs for name in taught_by(p))
        main = tape.programs[main_program(tape)]
        return cls(main, used, taught, tuple(Knowns(main).cuts()))


def taught_by(program: Program) -> frozenset[str]:
    """The weights that the loss of a program reaches by gradient."""
    wanted: set[Ref] = {Value(program.loss)}
    for call in reversed(program.calls):
        if any(Value(out) in wanted for out in call.outs) and not blocks(call):
            wanted.update(call.refs())
    return frozenset(r.name for r in wanted if isinstance(r, Weight))
