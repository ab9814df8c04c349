"""Measure rows that do not fit in memory in one pass: the encoder, the task, and a sample of the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.categories import Words, most_words
from unstuck.tabular.fit.effects import standardised
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.numeric import Numeric
from unstuck.tabular.fit.task import Classes, Numbers, Task
from unstuck.tabular.moments import Moments

Array = np.ndarray
SAMPLE = 20_000
ROOM = 1 << 26
"""Maximum bytes of the sample's numbers."""
DISTINCT = 1 << 17
"""Distinct words counted per column; above twice this number the rarest are dropped."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some rows: their frame, targets (n,) or (n, k), and weights or None."""

    frame: Frame
    y: Array
    w: Array | None = None

    def take(self, index: Array) -> Chunk:
        """Some of them."""
        return Chunk(self.frame.take(index), self.y[index], None if self.w is None else self.w[index])


Chunks = Callable[[], Iterator[Chunk]]
"""All rows from first to last; can be called any number of times."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """The result of one pass over the rows."""

    rows: int
    encoder: Encoder
    task: Task
    sample: Chunk
    ends: Array | None = None
    """The lowest and the highest numbers of the target, (2, k); None for classes."""


def statistics(chunks: Chunks, classes: bool) -> Statistics:
    """Read all rows once. `classes`: whether the target holds classes; otherwise numbers (n, k). Raises ValueError if
    there are no rows."""
    found, sampled, labels, counts, rows = None, _Sample(), _Labels(classes), None, 0
    for chunk in chunks():
        part = Moments.of(chunk.frame.numbers)
        found = part if found is None else found.merge(part)
        counts = counts or [Counter() for _ in chunk.frame.words]
        for counter, column in zip(counts, chunk.frame.words, strict=True):
            _count(counter, column)
        labels.add(chunk.y)
        sampled.add(chunk, rows)
        rows += len(chunk.frame)
    if found is None or not rows:
        raise ValueError("no rows")
    sample = sampled.chunk()
    numeric = Numeric.seen(found, sample.frame.numbers)
    words = tuple(Words.counted(counter, rows, most_words(len(counts or []))) for counter in counts or [])
    encoder, task = Encoder(numeric, words), labels.task(sample.y)
    weights = np.ones(len(sample.y)) if sample.w is None else sample.w
    goals = standardised(task.encode(sample.y), task.loss.outputs, weights)
    return Statistics(rows, encoder.with_effects(sample.frame, goals, weights), task, sample, labels.ends())


def mixed(rows: Array, key: int) -> Array:
    """64 random bits per row number (SplitMix64, Steele et al. 2014), for sampling, splitting and shuffling."""
    z = rows.astype(np.uint64) + np.uint64(key * 0x9E3779B97F4A7C15 % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class _Sample:
    """The rows with the lowest hashes: a uniform sample, independent of the size of the chunks."""

    def __init__(self) -> None:
        self.parts: list[Chunk] = []
        self.marks = np.zeros(0, np.uint64)

    def add(self, chunk: Chunk, start: int) -> None:
        size = min(SAMPLE, max(ROOM // (8 * max(chunk.frame.numbers.shape[1], 1)), 256))
        marks = mixed(np.arange(start, start + len(chunk.frame)), 1)
        limit = self.marks.max() if len(self.marks) >= size else np.uint64(2**64 - 1)
        new = np.flatnonzero(marks <= limit)
        if not len(new):
            return
        self.parts.append(chunk.take(new))
        self.marks = np.concatenate([self.marks, marks[new]])
        if len(self.marks) > size:
            whole, keep = _joined(self.parts), np.sort(np.argpartition(self.marks, size - 1)[:size])
            self.parts, self.marks = [whole.take(keep)], self.marks[keep]

    def chunk(self) -> Chunk:
        return _joined(self.parts)


def _joined(parts: list[Chunk]) -> Chunk:
    numbers = np.concatenate([p.frame.numbers for p in parts])
    columns = range(len(parts[0].frame.words))
    words = tuple([word for part in parts for word in part.frame.words[j]] for j in columns)
    weights = [p.w for p in parts if p.w is not None]
    frame, y = Frame(numbers, words, parts[0].frame.names), np.concatenate([p.y for p in parts])
    return Chunk(frame, y, np.concatenate(weights) if weights else None)


class _Labels:
    """Collects what the task is measured from."""

    def __init__(self, classes: bool) -> None:
        self.classes = classes
        self.seen: Array | None = None
        self.moments: Moments | None = None

    def add(self, y: Array) -> None:
        if self.classes:
            new = np.unique(y)
            self.seen = new if self.seen is None else np.unique(np.concatenate([self.seen, new]))
        else:
            part = Moments.of(y)
            self.moments = part if self.moments is None else self.moments.merge(part)

    def ends(self) -> Array | None:
        return None if self.moments is None else np.stack([self.moments.min, self.moments.max])

    def task(self, sample: Array) -> Task:
        if self.seen is not None:
            return Classes(self.seen)
        assert self.moments is not None
        return Numbers.seen(self.moments, sample)


def _count(counter: Counter[str], column: Iterable[str | None]) -> None:
    counter.update(word for word in column if word is not None)
    if len(counter) > 2 * DISTINCT:
        kept = counter.most_common(DISTINCT)
        counter.clear()
        counter.update(dict(kept))
