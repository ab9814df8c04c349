"""Who trains what: weights that an optimizer holds, weights that none does, weights that are frozen."""

from __future__ import annotations

import re
from dataclasses import dataclass

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.reachability import Reach
from unstuck.tape.model import Parameter, Tape
from unstuck.tape.program import Call, Weight

MODULE = re.compile(r"^\s*class \w+\(.*\bModule\b", re.MULTILINE)


@dataclass(frozen=True)
class Coverage:
    """The weights of the training programs, sorted by what becomes of them.

    A bare tensor that a call is given in front of a weight is an input which asks for its own gradient.
    """

    tape: Tape
    held: tuple[Parameter, ...]
    """Taught by the loss and held by an optimizer."""
    loose: tuple[Parameter, ...]
    """Taught by the loss, trainable, and held by none."""
    frozen: tuple[Parameter, ...]
    """Read by a training program and not trainable."""

    @property
    def unknown(self) -> tuple[Parameter, ...]:
        """The loose ones that are held only inside a module which does not know of them (not in `model.parameters()`).

        They have no variable of their own, nor has any module above them; but where the optimizer holds a whole other
        model, this one was built anew behind its back.
        """
        foreign = sum(o.foreign for o in self.tape.optimizers)
        inside = any(MODULE.search(text) for text in self.tape.sources.values())
        if not inside or (foreign and not self.held):
            return ()
        return tuple(p for p in self.loose if not p.root and (p.owner or p.name.partition("#")[0] == "weight"))

    @property
    def optimizer(self) -> int:
        """The optimizer that holds most of the held weights (the first where none holds any)."""
        numbers = [p.optimizer for p in self.held]
        return max(numbers, key=numbers.count) if numbers else 0

    @property
    def share(self) -> float:
        """Of all numbers that the loss teaches, the share that no optimizer holds."""
        loose, held = sum(map(size, self.loose)), sum(map(size, self.held))
        return loose / max(loose + held, 1)

    @classmethod
    def read(cls, tape: Tape) -> Coverage:
        if not tape.optimizers:
            raise NotApplicable("no optimizer stepped")
        reach = Reach.read(tape)
        known = [p for p in tape.parameters if p.name in reach.used and not p.buffer]
        fed = {name for p in tape.programs for c in p.calls for name in _fed(c)}
        taught = [p for p in known if p.trainable and p.name in reach.taught and (p.owner or p.name not in fed)]
        return cls(
            tape,
            tuple(p for p in taught if p.optimizer >= 0),
            tuple(p for p in taught if p.optimizer < 0),
            tuple(p for p in known if not p.trainable),
        )


def _fed(call: Call) -> list[str]:
    """The weight that a call is given first, where another follows."""
    weights = [r.name for r in call.refs() if isinstance(r, Weight)]
    return weights[:1] if len(weights) > 1 and call.args and call.args[0] == Weight(weights[0]) else []


def size(parameter: Parameter) -> int:
    """Numbers in it."""
    count = 1
    for length in parameter.shape:
        count *= length
    return count
