"""Train/test overlap: rows of the evaluations that the same network had been trained on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.task import main_program
from unstuck.tape.model import Evaluation, Tape

FEWEST = 16
"""Evaluation rows, at least: fewer are a look at the model, not an evaluation."""
LIMIT = 20_000
"""Rows of either kind, at most: a bound on time and memory."""
ALL = 0.995
"""A batch of which this share was trained on is an evaluation of the training set (a training accuracy)."""
LATE, NEW = 0.75, 0.01
"""In the last quarter of the recorded steps, the share of rows that may be new where the training set is known."""
DISTINCT = 3
"""Values in a row, at least: blank images and silent windows are equal to each other."""
AGAIN = 0.5
"""Share of a batch's rows that were evaluated just before, from which on a set is evaluated again."""
CHANCE, COLUMNS, SAMPLE = 0.01, 64, 1000
"""Equal rows expected by chance, at most, if columns were independent; estimated from so many columns and rows."""


@dataclass(frozen=True)
class Batch:
    """Rows that entered the network, and how many training steps came before."""

    key: str
    rows: Tensor
    after: int


@dataclass(frozen=True)
class Overlap:
    """Inputs as they reached the network, (rows, ...), of training and evaluation; both of one shape per row."""

    trained: Tensor
    steps: tuple[int, ...]
    """The training step of each row."""
    batches: tuple[Batch, ...]
    everything: bool = True
    """All rows that were trained on are here."""

    @classmethod
    def read(cls, tape: Tape) -> Overlap:
        """Read the main program's input, and the same input of evaluations of the same weights."""
        number = main_program(tape)
        main = [(n, p) for n, p in enumerate(tape.passes) if p.program == number]
        slot, first = _input(tape, main[0][1].outside)
        begun: dict[str, int] = {}
        for n, one in main:
            begun.setdefault(one.outside[slot], n)
        same = [e for e in tape.evaluations if _weights(tape, number) & _weights(tape, e.program)]
        trained = list(_usable(begun.items(), tape, first))
        batches = tuple(_usable((pair for e in same for pair in _alike(tape, e, first)), tape, first))
        if not trained or sum(len(b.rows) for b in batches) < FEWEST:
            raise NotApplicable("no evaluation was recorded whose inputs can be compared with those of the training")
        steps = tuple(b.after for b in trained for _ in range(len(b.rows)))
        kept = sum(len(b.rows) for b in trained) >= sum(len(tape.tensors[k]) for k in begun) and not tape.late
        return cls(torch.cat([b.rows for b in trained]), steps, batches, kept)

    @cached_property
    def judged(self) -> Tensor:
        """All rows of the evaluations, each batch once."""
        return torch.cat(list({b.key: b.rows for b in self.batches}.values()))

    def spread(self) -> tuple[Tensor, Tensor]:
        """Per feature (one number for pictures): distance of the means in training spreads, ratio of the spreads.

        A feature that stays the same in the evaluation (the time of a sampler's last step) says nothing of its scale,
        unless all of them do.
        """
        axis = (0,) if self.trained.dim() == 2 else tuple(range(self.trained.dim()))
        here, there = self.trained.double(), self.judged.double()
        spread, other = here.std(axis, correction=0), there.std(axis, correction=0)
        live = (spread > 0) & ((other > 0) | ~(other > 0).any())
        shift = (there.mean(axis) - here.mean(axis)).abs() / spread
        return shift[live], (other / spread)[live]

    @cached_property
    def shared(self) -> tuple[float, float]:
        """Share of evaluation rows trained on before, and of copies of such a row in one round of evaluations.

        Evaluations of the training set are left out, unless there is nothing else. Where only a part of the training
        rows was recorded, these look like others of which a part was trained on: then nothing is said.
        """
        if self._by_chance() or not self._whole():
            return 0.0, 0.0
        known = [(b, [self._first.get(k, b.after) < b.after for k in _keys(b.rows)]) for b in self.batches if b.after]
        kept = [(b, flags) for b, flags in known if sum(flags) < ALL * len(flags)]
        if not kept:
            return float(bool(known)), 0.0
        rows = sum(len(flags) for _, flags in kept)
        return sum(sum(flags) for _, flags in kept) / rows, sum(map(_copies, _rounds(kept))) / rows

    @cached_property
    def fresh(self) -> frozenset[str]:
        """The keys of evaluated inputs of which no row had been trained on; none where that is not certain."""
        if self._by_chance() or not self._whole():
            return frozenset()
        return frozenset(b.key for b, share in self._known if not share)

    @cached_property
    def trained_on(self) -> frozenset[str]:
        """The keys of evaluated inputs of which next to all rows had been trained on; none where equal rows say
        nothing."""
        return frozenset(b.key for b, share in self._known if share >= ALL) if not self._by_chance() else frozenset()

    @cached_property
    def _known(self) -> list[tuple[Batch, float]]:
        """Per batch of an evaluation, the share of rows that had been trained on before."""
        flags = ((b, [self._first.get(k, b.after) < b.after for k in _keys(b.rows)]) for b in self.batches)
        return [(b, sum(known) / len(known)) for b, known in flags]

    @cached_property
    def _first(self) -> dict[bytes, int]:
        """The first training step of each row that can be told from others."""
        found: dict[bytes, int] = {}
        for key, row, step in zip(_keys(self.trained), self.trained, self.steps, strict=True):
            if key not in found and len(row.unique()) >= DISTINCT:
                found[key] = step
        return found

    def _whole(self) -> bool:
        """Whether the training rows are known: all were kept, or towards the end of the recording none was new."""
        if self.everything:
            return True
        begin = LATE * max(self.steps)
        late = [n for n, step in enumerate(self.steps) if step >= begin]
        new = sum(self._first.get(key, 0) >= begin for key in _keys(self.trained[late]))
        return new <= NEW * len(late)

    def _by_chance(self) -> bool:
        """Whether equal rows are no wonder: few columns of few values."""
        table = self.trained.flatten(1)[:SAMPLE]
        columns = table.T[:: max(1, table.shape[1] // COLUMNS)]
        equal = sum(math.log(_agreement(column)) for column in columns)
        return math.log(len(self.trained)) + equal > math.log(CHANCE)


def _agreement(column: Tensor) -> float:
    """The chance that two values of a column are equal."""
    counts = column.unique(return_counts=True)[1].double()
    return float((counts / counts.sum()).square().sum())


def _rounds(kept: list[tuple[Batch, list[bool]]]) -> list[Counter[bytes]]:
    """Per round over a set: how often each row occurs, those not trained on as ''.

    A round ends with a training step, and where a batch comes of which most rows were there already: the same set is
    evaluated again. Copies within one set are few among many, so no batch is full of them.
    """
    rounds, met, after = [Counter[bytes]()], set[bytes](), -1
    for batch, flags in kept:
        keys = _keys(batch.rows)
        if batch.after != after or sum(key in met for key in keys) > AGAIN * len(keys):
            rounds, met, after = [*rounds, Counter()], set(), batch.after
        met.update(keys)
        rounds[-1].update(key if flag else b"" for key, flag in zip(keys, flags, strict=True))
    return rounds


def _copies(times: Counter[bytes]) -> int:
    """Further occurrences of rows that were trained on."""
    return sum(n - 1 for key, n in times.items() if key)


def _weights(tape: Tape, program: int) -> set[str]:
    return set(tape.programs[program].weights())


def _input(tape: Tape, outside: tuple[str, ...]) -> tuple[int, Tensor]:
    """The slot of the largest real-valued tensor with rows."""
    found = [(i, tape.tensors[k]) for i, k in enumerate(outside)]
    found = [(i, t) for i, t in found if t.is_floating_point() and t.dim() >= 2]
    if not found:
        raise NotApplicable("the recorded main step takes no real-valued rows")
    return max(found, key=lambda pair: pair[1].numel())


def _alike(tape: Tape, evaluation: Evaluation, first: Tensor) -> list[tuple[str, int]]:
    """The key of an evaluation's input, with the steps before it."""
    inputs = [k for k in evaluation.outside if tape.tensors[k].shape[1:] == first.shape[1:]]
    return [(k, evaluation.after) for k in inputs if tape.tensors[k].is_floating_point()][:1]


def _usable(keyed: Iterable[tuple[str, int]], tape: Tape, first: Tensor) -> Iterator[Batch]:
    """The finite ones of the same form, up to the limit."""
    left = LIMIT
    for key, number in dict.fromkeys(keyed):
        rows = tape.tensors[key]
        alike = rows.dim() == first.dim() and rows.shape[1:] == first.shape[1:] and len(rows) > 1
        if left > 0 and alike and bool(torch.isfinite(rows).all()) and float(rows.double().std()) > 0:
            yield Batch(key, rows[:left], number)
            left -= len(rows)


def _keys(rows: Tensor) -> list[bytes]:
    return [row.tobytes() for row in rows.flatten(1).contiguous().view(torch.uint8).numpy()]
