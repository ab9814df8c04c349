"""Forwards that no backward followed: validation batches, tests, looks at the model; and what is printed after them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from unstuck.recording.parameter_names import is_weight
from unstuck.recording.slicing import copies, needed
from unstuck.recording.stdout import PrintedLines
from unstuck.recording.tensor_store import TensorStore
from unstuck.recording.tracer import Entry, tensors
from unstuck.tape.model import Evaluation, Said
from unstuck.tape.program import Program
from unstuck.tape.task import handed_on

MOST = 400
"""Forwards kept at most."""
LARGE = 2**20
"""Numbers in an output that is not kept: it can be worked out again from the weights."""

Cut = Callable[[list[Entry], Tensor], tuple[int, tuple[Tensor, ...]]]


class Forwards:
    """Keeps them on the shelf. `cut` makes a program of calls and gives what stands in its slots."""

    def __init__(
        self, shelf: TensorStore, programs: list[Program], cut: Cut, trouble: Callable[[Exception], None]
    ) -> None:
        self.shelf, self.programs, self.cut, self.trouble = shelf, programs, cut, trouble
        self.kept: list[Evaluation] = []
        self.seen = 0
        self.blind = False
        """From some moment on forwards go by unseen."""
        self.sayings = PrintedLines()
        self.places: dict[int, int] = {}
        """By id of a call of the last look: the number of its evaluation on the tape; -1 where that was not kept."""
        self._outputs: dict[tuple[int, int], int] = {}

    def look(self, calls: list[Entry], inside: set[int], passes: int, trained: tuple[int, int] | None) -> list[int]:
        """Of a step's calls those that are not `inside` its program; returns the programs of what was kept.

        `trained` is the number of the training's program and of its output among its values.
        """
        ended: list[tuple[int, bool]] = []
        kept, seen, new = len(self.kept), self.seen, []
        place = {id(e): n for n, e in enumerate(calls, 1)}
        self.places = {}
        for forward in grouped([e for e in calls if id(e) not in inside]):
            number = self._keep(forward, passes, trained)
            ended.append((place[id(forward[-1])], number is not None))
            new += [] if number is None else [number]
            at = -1 if number is None else len(self.kept) - 1
            self.places.update((id(e), at) for e in forward)
            self.seen += 1
        self.sayings.place(passes, ended, kept, -1 if self.blind else seen)
        return new

    def _keep(self, forward: list[Entry], passes: int, trained: tuple[int, int] | None) -> int | None:
        if len(self.kept) >= MOST or self.shelf.full:
            return None
        try:
            return self._kept(forward, passes, trained)
        except Exception as error:
            self.trouble(error)
            return None

    def _kept(self, forward: list[Entry], passes: int, trained: tuple[int, int] | None) -> int | None:
        forward = without_copies(forward)
        target = next(tensors(forward[-1].out))
        entries = needed(forward, target)
        number, outside = self.cut(entries, target)
        keys = [self.shelf.keep(t, fresh=True) for t in outside]
        if None in keys or self.programs[number].missing:
            return None
        output = self._output(entries, number, trained)
        whole = tuple(filter(None, keys))
        self.kept.append(Evaluation(passes, number, whole, forward[0].grad, output))
        return number

    def _output(self, entries: list[Entry], number: int, trained: tuple[int, int] | None) -> str:
        """The key of what the network gave, where it is the value that the training hands to its loss."""
        if trained is None:
            return ""
        pair = (trained[0], number)
        if pair not in self._outputs:
            found = handed_on(self.programs[trained[0]], trained[1], self.programs[number])
            self._outputs[pair] = -1 if found is None else found.id
        made = value(entries, self._outputs[pair])
        return (self.shelf.keep(made) or "") if made is not None and made.numel() <= LARGE else ""

    def said(self) -> tuple[Said, ...]:
        """What was printed, each line with its place."""
        return tuple(Said(*line) for line in self.sayings.lines)


def without_copies(forward: list[Entry]) -> list[Entry]:
    """A forward without what only copies other things at its end: weights that are kept as the best so far."""
    made, last = set[int](), 0
    for place, entry in enumerate(forward, 1):
        reads = any(id(t) in made for t in tensors((entry.args, entry.kwargs)))
        if reads or not copies(entry):
            made.update(id(t) for t in entry.results)
            last = place
    return forward[:last] or forward


def value(entries: list[Entry], wanted: int) -> Tensor | None:
    """The value of that number among what the calls made; None where it never left a compiled graph."""
    count = 0
    for entry in entries:
        if count <= wanted < count + len(entry.results):
            made = entry.results[wanted - count]
            return None if made.is_meta else made
        count += len(entry.results)
    return None


def grouped(entries: list[Entry]) -> list[list[Entry]]:
    """Calls in groups: a new forward begins where the first weights meet fresh data again."""
    groups: list[list[Entry]] = []
    first: tuple[Any, ...] | None = None
    made: set[int] = set()
    for entry in entries:
        read = list(tensors((entry.args, entry.kwargs)))
        weights = tuple(id(t) for t in read if is_weight(t))
        known = any(id(t) in made for t in read)
        fresh = bool(weights) and len(read) > len(weights) and not known
        if fresh and (first is None or (entry.func, weights) == first):
            first = (entry.func, weights)
            groups.append([])
            made = set()
        if groups and (fresh or known or weights or not read):  # what reads nothing draws noise in compiled code
            groups[-1].append(entry)
            made.update(id(t) for t in tensors(entry.out))
    return groups
