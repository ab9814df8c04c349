"""Decision trees as arrays, and predictions from them: the trees of gradient boosting, without the library.

Every tree has at most 32 leaves, one bit of a word each. A comparison that fails rules out the leaves to the left of
its node; the lowest bit that is left is the leaf (QuickScorer: Lucchese et al. 2015). For a column, the leaves that
remain in all trees are one row of a table, so a row of data costs one look-up per column.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

Array = np.ndarray
LEAVES = 32
BLOCK = 256
"""Rows predicted at once."""
LEAF = -1
EVERY = np.uint32(2**32 - 1)


@dataclass(frozen=True, eq=False)
class Trees:
    """The trees of all lanes, sorted by lane and output; nodes are numbered through all trees."""

    feature: Array
    """(nodes,) int32: the column compared, -1 at a leaf."""
    threshold: Array
    """(nodes,) float64: rows up to it go left."""
    children: Array
    """(nodes, 2) int32: left and right."""
    missing: Array
    """(nodes,) bool: whether rows without a value go left."""
    value: Array
    """(nodes,) float64: of leaves."""
    roots: Array
    """(trees,) int32: first nodes, ascending."""
    place: Array
    """(trees,) int32: lane * outputs + output, ascending."""
    start: Array
    """(lanes, outputs) float64: what the trees add to."""

    def raw(self, x: Array) -> Array:
        """The sums for x (n, d), NaN where missing: (lanes, n, outputs) float64."""
        lanes, outputs = self.start.shape
        out = np.repeat(self.start.reshape(1, -1), len(x), axis=0)
        if len(self.roots):
            places, firsts = np.unique(self.place, return_index=True)
            for at in range(0, len(x), BLOCK):
                out[at : at + BLOCK, places] += np.add.reduceat(self._leaves(x[at : at + BLOCK]), firsts, axis=1)
        return out.reshape(len(x), lanes, outputs).transpose(1, 0, 2)

    def each(self, x: Array) -> Array:
        """The value of every tree for x (n, d): (n, trees) float64."""
        return np.concatenate([self._leaves(x[at : at + BLOCK]) for at in range(0, max(len(x), 1), BLOCK)])

    def _leaves(self, x: Array) -> Array:
        left = np.full((len(x), len(self.roots)), EVERY)
        for feature, (edges, table) in self._tables.items():
            column = x[:, feature]
            code = np.searchsorted(edges, column)
            code[np.isnan(column)] = len(table) - 1
            np.bitwise_and(left, table.take(code, axis=0), out=left)
        lowest = left & (~left + np.uint32(1))
        index = (lowest.astype(np.float32).view(np.int32) >> 23) - 127  # a power of two is its exponent
        return self._values.take(index + self._rows)

    @cached_property
    def _rows(self) -> Array:
        return LEAVES * np.arange(len(self.roots))

    @cached_property
    def _tree(self) -> Array:
        """The tree of each node, (nodes,)."""
        return np.searchsorted(self.roots, np.arange(len(self.feature)), side="right") - 1

    @cached_property
    def _before(self) -> Array:
        """The leaves of its tree before each node, (nodes,): a node is followed by its left side, then by its right."""
        leaf = self.feature == LEAF
        before = np.cumsum(leaf) - leaf
        return before - before[self.roots[self._tree]]

    @cached_property
    def _values(self) -> Array:
        values = np.zeros((len(self.roots), LEAVES))
        leaves = np.flatnonzero(self.feature == LEAF)
        values[self._tree[leaves], self._before[leaves]] = self.value[leaves]
        return values.ravel()

    @cached_property
    def _tables(self) -> dict[int, tuple[Array, Array]]:
        """For each column its thresholds (m,), and the leaves that remain in every tree, (m + 2, trees): after so many
        thresholds below the value, and last for a missing value."""
        return {int(f): self._table(np.flatnonzero(self.feature == f)) for f in np.unique(self.feature) if f != LEAF}

    def _table(self, nodes: Array) -> tuple[Array, Array]:
        edges, rank = np.unique(self.threshold[nodes], return_inverse=True)
        low, high = np.uint64(1) << self._before[self.children[nodes]].T.astype(np.uint64)
        ruled_out = (high - low).astype(np.uint32)
        table, tree, right = np.full((len(edges) + 2, len(self.roots)), EVERY), self._tree[nodes], ~self.missing[nodes]
        np.bitwise_and.at(table, (rank + 1, tree), ~ruled_out)
        np.bitwise_and.at(table, (np.full(right.sum(), len(table) - 1), tree[right]), ~ruled_out[right])
        np.bitwise_and.accumulate(table[:-1], axis=0, out=table[:-1])
        return edges, table

    def first(self, counts: int) -> Trees:
        """Only the first `counts` trees of every lane and output."""
        number = np.arange(len(self.place)) - np.searchsorted(self.place, self.place)
        kept = np.flatnonzero(number < counts)
        nodes = np.flatnonzero(np.isin(self._tree, kept))
        new = np.full(len(self.feature), -1, np.int32)
        new[nodes] = np.arange(len(nodes))
        children = np.where(self.feature[nodes, None] == LEAF, 0, new[self.children[nodes]]).astype(np.int32)
        return Trees(
            self.feature[nodes], self.threshold[nodes], children, self.missing[nodes], self.value[nodes],
            new[self.roots[kept]], self.place[kept], self.start,
        )  # fmt: skip

    def state(self) -> dict[str, Array]:
        """The arrays, for storage."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def check(self, inputs: int, lanes: int, outputs: int) -> None:
        """Raises ValueError if the arrays are not trees over so many inputs."""
        nodes, inner = len(self.feature), self.feature != LEAF
        number = np.arange(nodes)[:, None]
        shapes = self.start.shape, self.children.shape, self.place.shape
        if shapes != ((lanes, outputs), (nodes, 2), self.roots.shape):
            raise ValueError("not trees")
        last = np.append(self.roots[1:], nodes)[self._tree][:, None]
        left_next = (self.children[inner, 0] == np.flatnonzero(inner) + 1).all()
        if not left_next or not ((number < self.children) & (self.children < last))[inner].all():
            raise ValueError("a node's children come after it in the same tree")
        leaves = np.bincount(self._tree[~inner], minlength=len(self.roots))
        wrong = (leaves > LEAVES).any() or (2 * leaves - 1 != np.diff(np.append(self.roots, nodes))).any()
        finite = np.isfinite(self.value).all() and np.isfinite(self.start).all()
        if wrong or not finite or not ((self.feature >= LEAF) & (self.feature < inputs)).all():
            raise ValueError("not trees over these inputs")
        if len(self.place) and not (self.place[0] >= 0 and self.place[-1] < lanes * outputs):
            raise ValueError("trees of other outputs")
