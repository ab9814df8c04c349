"""A worker: its share of the rows, their statistics, and the gradients of its share of each batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.batches import SAMPLE, Rows
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.network import Dense, with_one
from unstuck.tabular.fit.statistics import Chunk, Chunks, Seen, mixed
from unstuck.tabular.fit.stream import HELD, below
from unstuck.tabular.fit.task import Task
from unstuck.tabular.fit.train import Shape

Array = np.ndarray
BLOCK = 4096
"""Rows of a gradient that are computed at once."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What all workers must know to train: the columns, the network, and how rows form slabs and batches."""

    encoder: Encoder
    task: Task
    shape: Shape
    lanes: int
    rows: int
    slabs: int
    steps: int
    """Batches of a slab."""
    seed: int

    def out(self, rows: Array) -> Array:
        """Which row numbers are held out."""
        return below(rows, 2, min(0.1, HELD / max(self.rows, 1)))

    def slab(self, rows: Array, number: int) -> Array:
        """Which row numbers are in a slab; after `slabs` of them, every row was in one."""
        turn, part = divmod(number, self.slabs)
        return (mixed(rows, 3 + turn) % np.uint64(self.slabs) == part) & ~self.out(rows)

    def batch(self, rows: Array, number: int) -> Array:
        """The batch of each row number in a slab: drawn at random, so that sizes vary by a few rows."""
        return (mixed(rows, (self.seed << 20) + 1000 + number) % np.uint64(self.steps)).astype(np.int64)


class Part:
    """Worker `number` of `of`: it reads the table and keeps every `of`-th chunk. The table must be readable where it
    runs; `chunks` yields it from first to last."""

    def __init__(self, chunks: Chunks, number: int, of: int) -> None:
        self.chunks, self.number, self.of = chunks, number, of
        self._setting: Setting | None = None
        self._net: Dense | None = None
        self._slab = Rows(np.zeros((0, 1), np.float32), np.zeros(0))
        self._edges = np.zeros(1, np.int64)

    def process(self) -> int:
        """The number of the process that it runs in."""
        return os.getpid()

    def measured(self, classes: bool) -> Seen:
        """The statistics of its rows."""
        seen = Seen(classes)
        for start, chunk in self._own():
            seen.add(chunk, start)
        return seen

    def set(self, setting: Setting) -> None:
        """Prepare the network."""
        self._setting = setting
        sizes = (setting.encoder.width(setting.shape.views), *setting.shape.hidden, setting.task.loss.outputs)
        self._net = Dense(sizes, setting.lanes, setting.shape.activation, np.float64)

    def held(self) -> tuple[Array, Rows]:
        """Its held-out rows, unexpanded, and their numbers."""
        setting = self._set()
        return self._drawn(setting.out)

    def own(self) -> tuple[Array, Rows]:
        """Its part of a sample of the training rows, likewise."""
        setting = self._set()
        share = min(1.0, 4 * SAMPLE / max(setting.rows, 1))
        return self._drawn(lambda rows: below(rows, 5, share) & ~setting.out(rows))

    def load(self, number: int) -> None:
        """Read its rows of a slab, in the order of their batches."""
        setting = self._set()
        rows, slab = self._drawn(lambda at: setting.slab(at, number))
        batch = setting.batch(rows, number)
        self._slab = slab.take(np.argsort(batch, kind="stable"))
        self._edges = np.searchsorted(np.sort(batch), np.arange(setting.steps + 1))

    def gradient(self, step: int, flat: Array) -> tuple[Array, float]:
        """The summed gradients of its rows of a batch at weights `flat`, (lanes, parameters), and their weight."""
        setting, net, total, weight = self._set(), self._net, np.zeros_like(flat), 0.0
        assert net is not None
        net.flat[:] = flat
        for at in range(int(self._edges[step]), int(self._edges[step + 1]), BLOCK):
            brief = self._slab.take(np.arange(at, min(at + BLOCK, int(self._edges[step + 1]))))
            x = with_one(setting.encoder.unfold(brief.x, setting.shape.views)).astype(np.float64)[None]
            slope = setting.task.loss.slope(net.forward(x), brief.y[None])
            slope *= 1.0 if brief.w is None else brief.w.astype(np.float64)[None, :, None]
            net.backward(slope)
            total, weight = total + net.gradient, weight + len(brief)
        return total, weight

    def _set(self) -> Setting:
        assert self._setting is not None
        return self._setting

    def _own(self) -> Iterator[tuple[int, Chunk]]:
        start = 0
        for number, chunk in enumerate(self.chunks()):
            if number % self.of == self.number:
                yield start, chunk
            start += len(chunk.frame)

    def _drawn(self, which: Callable[[Array], Array]) -> tuple[Array, Rows]:
        """The selected ones of its rows, unexpanded, and their numbers."""
        setting, rows, x, y, w = self._set(), [], [], [], []
        for start, chunk in self._own():
            index = np.flatnonzero(which(np.arange(start, start + len(chunk.frame))))
            own = chunk.take(index)
            rows.append(start + index)
            x.append(setting.encoder.brief(own.frame))
            y.append(setting.task.encode(own.y))
            w.append(own.w)
        if not rows:
            return np.zeros(0, np.int64), Rows(np.zeros((0, setting.encoder.kept), np.float32), np.zeros(0))
        weights = None if w[0] is None else np.concatenate(w).astype(np.float32)
        return np.concatenate(rows), Rows(np.concatenate(x), np.concatenate(y), weights)
