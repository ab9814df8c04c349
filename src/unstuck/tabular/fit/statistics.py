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
    seen, rows = Seen(classes), 0
    for chunk in chunks():
        seen.add(chunk, rows)
        rows += len(chunk.frame)
    return seen.statistics()


class Seen:
    """What one pass over some rows collects. Parts of a table that were seen apart can be merged."""

    def __init__(self, classes: bool) -> None:
        self.rows = 0
        self.moments: Moments | None = None
        self.counts: list[Counter[str]] | None = None
        self.labels, self.sample = _Labels(classes), _Sample()

    def add(self, chunk: Chunk, start: int) -> None:
        """Some rows, the first of which has the number `start` in the table."""
        self._measure(Moments.of(chunk.frame.numbers))
        self.counts = self.counts or [Counter() for _ in chunk.frame.words]
        for counter, column in zip(self.counts, chunk.frame.words, strict=True):
            _count(counter, (word for word in column if word is not None))
        self.labels.add(chunk.y)
        self.sample.add(chunk, np.arange(start, start + len(chunk.frame)))
        self.rows += len(chunk.frame)

    def merge(self, other: Seen) -> None:
        """The rows of another part."""
        if other.moments is None:
            return
        self._measure(other.moments)
        self.counts = self.counts or [Counter() for _ in other.counts or []]
        for counter, more in zip(self.counts, other.counts or [], strict=True):
            _count(counter, more)
        self.labels.merge(other.labels)
        self.sample.merge(other.sample)
        self.rows += other.rows

    def statistics(self) -> Statistics:
        """The result. Raises ValueError if there are no rows."""
        if self.moments is None or not self.rows:
            raise ValueError("no rows")
        sample, counts = self.sample.chunk(), self.counts or []
        numeric = Numeric.seen(self.moments, sample.frame.numbers)
        words = tuple(Words.counted(counter, self.rows, most_words(len(counts))) for counter in counts)
        encoder, task = Encoder(numeric, words), self.labels.task(sample.y)
        weights = np.ones(len(sample.y)) if sample.w is None else sample.w
        goals = standardised(task.encode(sample.y), task.loss.outputs, weights)
        encoder = encoder.with_effects(sample.frame, goals, weights)
        return Statistics(self.rows, encoder, task, sample, self.labels.ends())

    def _measure(self, found: Moments) -> None:
        self.moments = found if self.moments is None else self.moments.merge(found)


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
        self.rows = np.zeros(0, np.int64)

    def add(self, chunk: Chunk, rows: Array) -> None:
        """Rows of these numbers, (n,)."""
        size = min(SAMPLE, max(ROOM // (8 * max(chunk.frame.numbers.shape[1], 1)), 256))
        limit = self._marks.max() if len(self.rows) >= size else np.uint64(2**64 - 1)
        new = np.flatnonzero(mixed(rows, 1) <= limit)
        if not len(new):
            return
        self.parts.append(chunk.take(new))
        self.rows = np.concatenate([self.rows, rows[new]])
        if len(self.rows) > size:
            self._keep(np.argpartition(self._marks, size - 1)[:size])

    def merge(self, other: _Sample) -> None:
        """The sample of other rows."""
        if other.parts:
            self.add(other.chunk(), other.rows)

    def chunk(self) -> Chunk:
        """The sampled rows, in the order of the table."""
        self._keep(np.arange(len(self.rows)))
        return self.parts[0]

    @property
    def _marks(self) -> Array:
        return mixed(self.rows, 1)

    def _keep(self, index: Array) -> None:
        index = index[np.argsort(self.rows[index])]
        self.parts, self.rows = [_joined(self.parts).take(index)], self.rows[index]


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

    def merge(self, other: _Labels) -> None:
        if other.seen is not None:
            self.add(other.seen)
        if other.moments is not None:
            self.moments = other.moments if self.moments is None else self.moments.merge(other.moments)

    def ends(self) -> Array | None:
        return None if self.moments is None else np.stack([self.moments.min, self.moments.max])

    def task(self, sample: Array) -> Task:
        if self.seen is not None:
            return Classes(self.seen)
        assert self.moments is not None
        return Numbers.seen(self.moments, sample)


def _count(counter: Counter[str], words: Iterable[str] | Counter[str]) -> None:
    counter.update(words)
    if len(counter) > 2 * DISTINCT:
        kept = counter.most_common(DISTINCT)
        counter.clear()
        counter.update(dict(kept))
