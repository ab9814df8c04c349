"""The distinct programs of a run: a step's calls are cut to what leads to its loss, and equal ones are one program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from unstuck.recording.evaluations import value
from unstuck.recording.parameter_names import Names
from unstuck.recording.slicing import outline, program
from unstuck.recording.tracer import Entry
from unstuck.tape.program import Program
from unstuck.tape.task import Task

PROGRAMS = 300
"""Distinct programs on a tape at most: a script that builds its layers anew in every step makes one per step."""


class Programs:
    """Numbers programs in the order of their first step. `is_weight` tells weights from inputs with a gradient."""

    def __init__(self, names: Names, is_weight: Callable[[Tensor], bool]) -> None:
        self.kept: list[Program] = []
        self.trained: tuple[int, int] | None = None
        """The program of the last training step whose output is known, and the output's number among its values."""
        self._names, self._is_weight = names, is_weight
        self._known: dict[Any, int] = {}
        self._reached: dict[tuple[int, int], list[Tensor]] = {}
        self._outputs: dict[int, int] = {}

    @property
    def full(self) -> bool:
        """There is no room for another."""
        return len(self.kept) >= PROGRAMS

    def cut(self, entries: list[Entry], target: Tensor) -> tuple[int, tuple[Tensor, ...]]:
        """The number of the program that the calls make, and the tensors that enter it."""
        key, outside = outline(entries, target, self._names.of, self._is_weight)
        if key not in self._known:
            self._known[key] = len(self.kept)
            self.kept.append(program(entries, target, self._names.of, self._is_weight).program)
        return self._known[key], outside

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
