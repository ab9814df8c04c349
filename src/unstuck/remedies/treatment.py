"""What a remedy is: plain data with two verbs, and the trial that the first of them changes.

A `Trial` is one way to train on the tape: the programs, the weights they start from, the optimizer and the loop's
manners. `Remedy.apply` returns a changed trial, for the proof; `Remedy.edit` returns changed sources, for the patch.
A test holds the two equal on every rule's FIRES, so what is recommended is what was tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from unstuck.diagnosis.model import Trust
from unstuck.tape.model import Tape
from unstuck.tape.program import Program

if TYPE_CHECKING:
    from torch import Tensor

    from unstuck.source.text import Sources


class CannotApply(Exception):
    """The remedy has no meaning for this trial, or cannot be tried by replay; the message says why."""


class CannotEdit(Exception):
    """The remedy found no safe place in the source; the message says why."""


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
    """Per optimizer, per group: the options of the person's optimizer (lr, momentum, weight_decay, ...)."""
    rate: float = 1.0
    """Every recorded rate is multiplied by this."""
    clear: bool = False
    """Gradients are cleared before each step, whatever the script did."""
    clip: dict[int, float] = field(default_factory=dict)
    """Largest gradient norm, by optimizer."""
    constants: dict[str, Tensor] = field(default_factory=dict)
    """Tensors that remedies brought in, by key."""
    outside: dict[int, Any] = field(default_factory=dict)
    """Changes to what enters by a slot: slot -> function(tensor) -> tensor, applied before the step."""
    steady: bool = False
    """The first recorded rate is kept for all steps, whatever the schedule did."""
    kept: bool = False
    """One optimizer serves from the first step to the last, where the script built another in its place."""
    mixed: bool = False
    """Every batch is drawn from all recorded rows, in whatever order they came."""
    remedies: tuple[str, ...] = ()

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
        """What it does, as an imperative clause: "standardise the inputs"."""
        raise NotImplementedError

    def stronger(self) -> Treatment | None:
        """A stronger dose, for a whole run that needs more than a short replay did; None if there is none."""
        return None

    def apply(self, trial: Trial) -> Trial:
        """The trial with the remedy in it; raises CannotApply where a replay cannot show it."""
        raise NotImplementedError

    def edit(self, sources: Sources) -> Sources:
        """The sources with the remedy in them; raises CannotEdit where no safe place is found."""
        raise NotImplementedError
