"""Source lines of the training step, for findings that come from a measurement and have no line of their own."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from unstuck.diagnosis.model import NotApplicable, Site
from unstuck.signals.training import Training
from unstuck.tape.model import LoopCall, Tape


def backward_site(tape: Tape, optimizer: int | None = None) -> Site | None:
    """The first call of backward(), or the one before an optimizer's first step: as it was seen, else in the text."""
    if (seen := _seen(_before(tape, optimizer), "backward")) is not None:
        return seen
    training = _training(tape)
    return _first(training, training.backwards) if training else None


def step_site(tape: Tape, optimizer: int | None = None) -> Site | None:
    """The first call of step(), or an optimizer's first: as it was seen, else the first in the text."""
    if (seen := _seen(_steps(tape, optimizer), "step")) is not None:
        return seen
    training = _training(tape)
    return _first(training, training.methods("step")) if training else None


def _steps(tape: Tape, optimizer: int | None) -> list[LoopCall]:
    return [c for c in tape.facts.calls if c.kind == "step" and optimizer in (None, c.optimizer)]


def _before(tape: Tape, optimizer: int | None) -> list[LoopCall]:
    """Backwards in the order of their calls; the last one before an optimizer's first step comes first."""
    backwards = [c for c in tape.facts.calls if c.kind == "backward"]
    first = next(iter(_steps(tape, optimizer)), None) if optimizer is not None else None
    nearest = [c for c in backwards if first is not None and c.order < first.order][-1:]
    return [*nearest, *backwards]


def optimizer_site(tape: Tape, number: int = 0) -> Site | None:
    """The construction of an optimizer: as it was seen, else the first in the text."""
    made = tape.optimizers[number].made if number < len(tape.optimizers) else None
    if made is not None:
        return made
    training = _training(tape)
    return _first(training, training.optimizers) if training else None


def layer_site(tape: Tape, name: str) -> Site | None:
    """The construction of the layer that owns a weight; None where it was not seen."""
    return next((p.made for p in tape.parameters if p.name == name), None)


def values_site(tape: Tape, name: str) -> Site | None:
    """The line that gave a weight its first values, else the construction of its layer."""
    found = next((p for p in tape.parameters if p.name == name), None)
    return (found.valued or found.made) if found is not None else None


def _seen(calls: Iterable[LoopCall], kind: str) -> Site | None:
    return next((c.site for c in calls if c.kind == kind and c.site is not None), None)


def _training(tape: Tape) -> Training | None:
    try:
        return Training.read(tape)
    except (NotApplicable, SyntaxError, ValueError):
        return None


def _first(training: Training, nodes: Iterable[ast.AST]) -> Site | None:
    node = next(iter(nodes), None)
    return training.source.site(node) if node is not None else None
