"""In which mode the layers ran at each training step and evaluation: dropout, batch norm and their like."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from unstuck.diagnosis.model import Site
from unstuck.tape.model import Evaluation, Mode, Tape
from unstuck.tape.modes import mode, modes
from unstuck.tape.program import Call, Program


@dataclass(frozen=True)
class Modes:
    """Counts of steps and evaluations; a step or an evaluation counts if one of its layers has modes."""

    steps: int
    idle: tuple[int, ...]
    """Training steps (by number of their pass) with the whole network in evaluation mode."""
    partly: int
    """Training steps in which some layers were in evaluation mode while the network was not: frozen on purpose."""
    evaluations: int
    dropping: tuple[Evaluation, ...]
    """Evaluations with a layer in training mode."""
    layers: tuple[str, ...] = ()
    """The layers in evaluation mode at the idle steps, or in training mode at the dropping evaluations."""
    repeated: bool = False
    """Those evaluations see the same rows again and again before the next step: Monte Carlo dropout."""

    @classmethod
    def read(cls, tape: Tape) -> Modes:
        """Of a tape."""
        found = [modes(p) for p in tape.programs]
        timeline = _Timeline(tape)
        steps = [(n, found[p.program], p.program) for n, p in enumerate(tape.passes) if found[p.program]]
        off = [(n, calls, program) for n, calls, program in steps if not all(on for _, on in calls)]
        idle = [(n, p) for n, calls, p in off if not any(on for _, on in calls) and timeline.whole(p, n)]
        judged = [e for e in tape.evaluations if not e.grad and found[e.program]]
        dropping = [e for e in judged if any(on for _, on in found[e.program])]
        named = tape.programs[idle[0][1]] if idle else tape.programs[dropping[0].program] if dropping else None
        layers = () if named is None else tuple(dict.fromkeys(layer(c) for c in named.calls if mode(c) is not None))
        return cls(
            len(steps), tuple(n for n, _ in idle), len(off) - len(idle), len(judged), tuple(dropping), layers,
            _repeated(dropping),
        )  # fmt: skip


class _Timeline:
    """The modes of the modules over the run; a tape without them says nothing against evaluation mode."""

    def __init__(self, tape: Tape) -> None:
        self._changes: dict[int, list[Mode]] = {}
        for change in tape.facts.modes:
            self._changes.setdefault(change.program, []).append(change)

    def whole(self, program: int, step: int) -> bool:
        """Whether every module that owns a weight of a program was in evaluation mode at a pass."""
        changes = self._changes.get(program, [])
        at = bisect_right([c.after for c in changes], step) - 1
        return at < 0 or changes[at].training == 0


def layer(call: Call) -> str:
    """A layer by its weight's name; one without weights by its function and line."""
    weights = call.weights()
    if weights:
        return weights[0].rpartition(".")[0] or weights[0]
    return f"{call.name} in {call.site.file}:{call.site.line}" if call.site else call.name


def first_site(program: Program) -> Site | None:
    """The innermost line of the person's in the first layer that has modes."""
    return next((c.site for c, _ in modes(program) if c.site is not None), None)


def entered_at(program: Program) -> Site | None:
    """The innermost line that all calls with weights are made from: where the network is called as a whole."""
    chains = [c.sites for c in program.calls if c.sites and c.weights()]
    common = [s for s in chains[0] if all(s in chain for chain in chains)] if chains else []
    return common[0] if common else first_site(program)


def _repeated(evaluations: list[Evaluation]) -> bool:
    rows = [(e.after, e.outside) for e in evaluations]
    return len(rows) > 1 and len(set(rows)) <= len(rows) / 2
