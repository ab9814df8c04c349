"""The distinct programs of a run: a step's calls are cut to what leads to its loss, and equal ones are one program.

Numbers that change from step to step (the weight of a term that is raised slowly, a temperature) would make a program
of each step. Where the same calls come again with another number, it stands in a slot of the program from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from torch import Tensor

from unstuck.recording.evaluations import value
from unstuck.recording.parameter_names import Names
from unstuck.recording.slicing import Number, outline, program
from unstuck.recording.tracer import Entry
from unstuck.tape.model import Pass
from unstuck.tape.program import Program
from unstuck.tape.task import Task

PROGRAMS = 300
"""Distinct programs on a tape at most: a script that builds its layers anew in every step makes one per step."""


class _Form(NamedTuple):
    """Calls that are equal but for the numbers that they take."""

    numbers: tuple[Number, ...]
    """Those that they were first made with."""
    entering: tuple[int, ...] = ()
    """The places of those that have changed."""

    def met(self, numbers: tuple[Number, ...]) -> _Form:
        """The form once it has come with these numbers."""
        changed = {n for n, (a, b) in enumerate(zip(self.numbers, numbers, strict=True)) if repr(a) != repr(b)}
        return (
            self if changed <= set(self.entering) else self._replace(entering=tuple(sorted({*changed, *self.entering})))
        )


class _Origin(NamedTuple):
    """What a program was cut from."""

    form: Any
    entering: tuple[int, ...]
    numbers: tuple[Number, ...]


class Programs:
    """Numbers programs in the order of their first step. `is_weight` tells weights from inputs with a gradient."""

    def __init__(self, names: Names, is_weight: Callable[[Tensor], bool]) -> None:
        self.kept: list[Program] = []
        self.trained: tuple[int, int] | None = None
        """The program of the last training step whose output is known, and the output's number among its values."""
        self._names, self._is_weight = names, is_weight
        self._known: dict[Any, int] = {}
        self._forms: dict[Any, _Form] = {}
        self._origins: list[_Origin] = []
        self._reached: dict[tuple[int, int], list[Tensor]] = {}
        self._outputs: dict[int, int] = {}

    @property
    def full(self) -> bool:
        """There is no room for another."""
        return len(self.kept) >= PROGRAMS

    def cut(self, entries: list[Entry], target: Tensor) -> tuple[int, tuple[Tensor, ...]]:
        """The number of the program that the calls make, and the tensors that enter it."""
        form, outside, numbers = outline(entries, target, self._names.of, self._is_weight)
        entering = self._meet(form, numbers)
        key = self._key(form, entering, numbers)
        if key not in self._known:
            self._known[key] = len(self.kept)
            self.kept.append(program(entries, target, self._names.of, self._is_weight, entering).program)
            self._origins.append(_Origin(form, entering, numbers))
        return self._known[key], (*outside, *(numbers[n].tensor() for n in entering if outside))

    def _meet(self, form: Any, numbers: tuple[Number, ...]) -> tuple[int, ...]:
        self._forms[form] = known = self._forms.get(form, _Form(numbers)).met(numbers)
        return known.entering

    def _key(self, form: Any, entering: tuple[int, ...], numbers: tuple[Number, ...]) -> Any:
        return form, entering, tuple(repr(one) for n, one in enumerate(numbers) if n not in entering)

    def lifted(self, step: Pass, keep: Callable[[Tensor], str | None]) -> Pass:
        """A step of a program some of whose numbers have changed since, as one of the program in which they enter."""
        origin = self._origins[step.program]
        wanted = self._forms[origin.form].entering
        number = self._known.get(self._key(origin.form, wanted, origin.numbers))
        if wanted == origin.entering or number is None or not step.outside:
            return step
        first = len(step.outside) - len(origin.entering)
        given = dict(zip(origin.entering, step.outside[first:], strict=True))
        keys = [given.get(n) or keep(origin.numbers[n].tensor()) for n in wanted]
        if None in keys:
            return step
        outside = (*step.outside[:first], *(key for key in keys if key is not None))
        return msgspec.structs.replace(step, program=number, outside=outside)

    def made(self, number: int, entries: list[Entry], outside: tuple[Tensor, ...]) -> Tensor | None:
        """What the loss was given as the network's output, where that is known."""
        if number not in self._outputs:
            task = Task.of(self.kept[number], outside) if self.kept[number].loss >= 0 else None
            self._outputs[number] = -1 if task is None or task.output is None else task.output
        self.trained = (number, self._outputs[number]) if self._outputs[number] >= 0 else self.trained
        return value(entries, self._outputs[number])

    def weights(self, number: int) -> list[Tensor]:
        """The script's own weights that a program reads, in the order of `Program.weights`."""
        key = (number, self._names.rebound)
        if key not in self._reached:
            known = dict(self._names.all())
            self._reached = {k: v for k, v in self._reached.items() if k[1] == self._names.rebound}
            self._reached[key] = [known[name] for name in self.kept[number].weights() if name in known]
        return self._reached[key]
