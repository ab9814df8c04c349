"""What a remedy is: plain data with two verbs, and the trial that the first of them changes.

A `Trial` is one way to train on the tape: the programs, initial weights, optimizers and options of the loop.
`Treatment.apply` returns a changed trial, for the experiment; `Treatment.edit` returns changed sources, for the patch.
A test holds the two equal on the example of every rule, so what is recommended is what was tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from unstuck.diagnosis.model import Trust
from unstuck.source.edits import CannotEdit as CannotEdit
from unstuck.tape.model import Tape
from unstuck.tape.program import Program

if TYPE_CHECKING:
    from torch import Tensor

    from unstuck.source.text import Sources


class CannotApply(Exception):
    """The remedy does not apply to this trial, or a replay cannot show its effect; the message says why."""


@dataclass(frozen=True)
class Trial:
    """One way to train on the tape. Frozen: a remedy returns a changed copy (`with_`)."""

    tape: Tape
    programs: tuple[Program, ...]
    start: dict[str, Tensor]
    """Initial value of every weight and buffer, by name; shapes as recorded."""
    holders: dict[str, tuple[int, int]]
    """(optimizer, group) of every weight that is updated, by name."""
    options: tuple[tuple[dict[str, Any], ...], ...]
    """Per optimizer, per group: the options of the recorded optimizer (lr, momentum, weight_decay, ...)."""
    rate: float = 1.0
    """Every recorded rate is multiplied by this."""
    clear: bool = False
    """Gradients are cleared before each step, whatever the script did."""
    clip: dict[int, float] = field(default_factory=dict)
    """Largest gradient norm, by optimizer."""
    constants: dict[str, Tensor] = field(default_factory=dict)
    """Tensors that remedies add, by key."""
    outside: dict[int, Any] = field(default_factory=dict)
    """Changes to slots: slot -> function(tensor) -> tensor, applied before the step."""
    steady: bool = False
    """The first recorded rate is used for all steps, whatever the schedule did."""
    classes: dict[int, str] = field(default_factory=dict)
    """The class of torch's that makes the steps in the place of the recorded one, by optimizer."""
    kept: bool = False
    """One optimizer is used throughout, even if the script rebuilt it."""
    mixed: bool = False
    """Each batch is drawn at random from all recorded rows."""
    remedies: tuple[str, ...] = ()
    device: str = "cpu"
    """Where its lanes train; its own tensors, and those that remedies add, are on the CPU."""

    def with_(self, **changes: Any) -> Trial:
        """A changed copy."""
        return replace(self, **changes)

    def over_programs(self, change: Any) -> Trial:
        """The trial with `change(program) -> program` made to each of its programs."""
        return self.with_(programs=tuple(change(p) for p in self.programs))


class Treatment(msgspec.Struct, frozen=True):
    """The base of the remedies in this package: names and trust as class attributes, data as fields."""

    name: ClassVar[str]
    trust: ClassVar[Trust] = "likely"

    def summary(self) -> str:
        """What it does, as an imperative clause without a full stop: "standardise the inputs"."""
        raise NotImplementedError

    def stronger(self) -> Treatment | None:
        """A stronger dose, for a whole run that needs more than a short replay did; None if there is none."""
        return None

    def took(self, before: Tape, after: Tape) -> bool:
        """Whether the tape of a run with the edit shows what it sets: an edit without effect is none."""
        del before, after
        return True

    def elsewhere(self) -> Treatment | None:
        """The same remedy, written in the next place that may hold its number; None where it knows one place only."""
        return None

    def apply(self, trial: Trial) -> Trial:
        """The trial with the remedy applied. Raises CannotApply if a replay cannot show its effect."""
        raise NotImplementedError

    def edit(self, sources: Sources) -> Sources:
        """The sources with the remedy applied. Raises CannotEdit if no safe place is found."""
        raise NotImplementedError
