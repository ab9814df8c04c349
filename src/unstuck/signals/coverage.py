"""Which weights are trained: those that an optimizer holds, those that none holds, those that are frozen."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.fit_alone import alone
from unstuck.signals.reachability import Reach
from unstuck.tape.model import Parameter, Tape
from unstuck.tape.program import Call, Weight

MODULE = re.compile(r"^\s*class \w+\(.*\bModule\b", re.MULTILINE)
SMALLEST = 16
"""Rows and columns below which a matrix does not show whether it was drawn at random."""
SEVERAL = 3
"""Matrices that are left as they were drawn, and are more than a random feature map or a reservoir has."""
EDGE = 1.15
"""The largest singular value of a matrix of independent entries of deviation s is about s (sqrt(rows) + sqrt(columns))
(Bai and Yin 1993); all of 300 matrices of 16 by 16 lie below this multiple of it. Training adds far larger ones (Martin
and Mahoney 2021): 100 steps of Adam on a two-layer network are enough."""
ITERATIONS = 20
"""Of the power method; a singular value that stands out by EDGE has converged by then, others are underestimated."""


@dataclass(frozen=True)
class Coverage:
    """The weights of the training programs by what becomes of them.

    A bare tensor that a call is given in front of a weight is an input that asks for its own gradient.
    """

    tape: Tape
    held: tuple[Parameter, ...]
    """The loss reaches them by gradient, and an optimizer holds them."""
    loose: tuple[Parameter, ...]
    """The loss reaches them by gradient, they are trainable (some perhaps only after a while), no optimizer holds them,
    and nothing else moves them."""
    frozen: tuple[Parameter, ...]
    """Read by a training program, not trainable, and the same in the end."""

    @property
    def unknown(self) -> tuple[Parameter, ...]:
        """The loose ones inside a module that has not registered them (they are not in `model.parameters()`).

        No variable refers to them, nor does a module above them; but if the optimizer holds another model as a whole,
        this one was built after it.
        """
        foreign = sum(o.foreign for o in self.tape.optimizers)
        inside = any(MODULE.search(text) for text in self.tape.sources.values())
        if not inside or (foreign and not self.held):
            return ()
        return tuple(p for p in self.loose if not p.root and (p.owner or p.name.partition("#")[0] == "weight"))

    @property
    def untrained(self) -> tuple[Parameter, ...]:
        """The loose matrices whose initial values are random: nothing has trained them before this run either.

        A small one shows that by what wrote its values, not by these: then several have to, since a random feature map
        (one matrix) or a reservoir (two) is left as it was drawn on purpose.
        """
        drawn = tuple(p for p in self.loose if is_random(self.tape.start(p.name)))
        small = tuple(p for p in self.loose if p.fresh and len(p.shape) > 1 and p not in drawn)
        return drawn + (small if drawn or len(small) >= SEVERAL else ())

    @property
    def unlearnt(self) -> bool:
        """Whether the frozen matrices hold what their constructors drew: nothing has been learnt that freezing keeps.

        Where the line that makes a layer fills it too, a larger matrix shows whether its numbers were drawn at random.
        """
        wide = [p for p in self.frozen if len(p.shape) > 1]
        return bool(wide) and all(p.made is not None and p.valued == p.made and _fresh(self.tape, p) for p in wide)

    @property
    def optimizer(self) -> int:
        """The optimizer that holds most of the held weights beside the loose ones (the first to step if none does)."""
        loose = {p.name for p in self.loose}
        read = [set(p.weights()) for p in self.tape.programs]
        beside = set().union(*(names for names in read if names & loose))
        numbers = [p.optimizer for p in self.held if not loose or p.name in beside]
        first = next((u.optimizer for u in self.tape.updates), 0)
        return max(numbers, key=numbers.count) if numbers else first

    @property
    def share(self) -> float:
        """The share of all elements the loss reaches that no optimizer holds."""
        loose, held = sum(map(size, self.loose)), sum(map(size, self.held))
        return loose / max(loose + held, 1)

    @property
    def remade(self) -> tuple[str, ...]:
        """Leaves of the first steps that later steps make anew, while the optimizers' tensors are never reached."""
        later = {p.program for p in self.tape.passes[len(self.tape.passes) // 2 :]}
        foreign = sum(o.foreign for o in self.tape.optimizers)
        if self.held or not foreign or any(self.tape.programs[n].weights() for n in later):
            return ()
        return tuple(p.name for p in self.loose)

    @classmethod
    def read(cls, tape: Tape) -> Coverage:
        """Of the last fit, where that leaves weights out; else of the whole run."""
        if not tape.optimizers:
            raise NotApplicable("no step of an optimizer was recorded")
        last = cls._of(alone(tape))
        return last if last.loose else cls._of(tape)

    @classmethod
    def _of(cls, tape: Tape) -> Coverage:
        reach = Reach.read(tape)
        known = [p for p in tape.parameters if p.name in reach.used and not p.buffer]
        fed = {name for p in tape.programs for c in p.calls for name in _fed(c)}
        asked = [p for p in known if p.trainable or (p.unfrozen and p.optimizer < 0)]
        taught = [p for p in asked if p.name in reach.taught and (p.owner or p.name not in fed)]
        theirs = _handed(tape)
        return cls(
            tape,
            tuple(p for p in taught if p.optimizer >= 0),
            tuple(p for p in taught if p.optimizer < 0 and p.name not in theirs and not _follows(tape, p)),
            tuple(p for p in known if not (p.trainable or p.unfrozen) and not _follows(tape, p)),
        )


def _handed(tape: Tape) -> set[str]:
    """The weights whose gradients are always handed to the script, which steps by itself on values of its own."""
    names = {handed: set[str]() for handed in (True, False)}
    for number, handed in {(p.program, p.handed) for p in tape.passes}:
        names[handed].update(tape.programs[number].weights())
    return names[True] - names[False]


def _fresh(tape: Tape, parameter: Parameter) -> bool:
    return min(parameter.shape) < SMALLEST or is_random(tape.start(parameter.name))


def _follows(tape: Tape, parameter: Parameter) -> bool:
    """Whether the script itself moves a weight that no optimizer holds (a momentum encoder, a target network)."""
    return parameter.optimizer < 0 and changed(tape, parameter.name) is True


def changed(tape: Tape, name: str) -> bool | None:
    """Whether a weight is another at the end of the run than at its start; None where one of them is not known."""
    start, end = (tape.tensors.get(f"{kind}:{name}") for kind in "wf")
    return None if start is None or end is None else not torch.equal(start, end)


def is_random(weight: Tensor) -> bool:
    """Whether a weight (first axis: outputs) looks like independent random numbers; never for a small one."""
    matrix = weight.detach().float().flatten(1) if weight.dim() > 1 else weight.new_zeros(0, 0)
    deviation = float(matrix.std()) if matrix.numel() else 0.0
    if min(matrix.shape) < SMALLEST or not deviation > 0:
        return False
    direction = torch.randn(matrix.shape[1], generator=torch.Generator().manual_seed(0)).to(matrix.device)
    for _ in range(ITERATIONS):
        direction = torch.nn.functional.normalize(matrix.T @ (matrix @ direction), dim=0)
    edge = deviation * sum(side**0.5 for side in matrix.shape)
    return float((matrix @ direction).norm()) < EDGE * edge


def _fed(call: Call) -> list[str]:
    """The weight that a call is given first, if another follows."""
    weights = [r.name for r in call.refs() if isinstance(r, Weight)]
    return weights[:1] if len(weights) > 1 and call.args and call.args[0] == Weight(weights[0]) else []


def size(parameter: Parameter) -> int:
    """Number of elements."""
    count = 1
    for length in parameter.shape:
        count *= length
    return count
