"""Equal rows: merged, put in an order that does not depend on the file, and divided for cross-validation.

Rows with equal inputs are either independent draws (a table with few distinct cells, such as class, sex and age) or
copies of one another (a file read twice, oversampling). Draws may be divided between training and held-out rows, since
new rows will have the same inputs; what is held out of each cell is then a random draw. Copies must stay together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.grid import MIX, marks

Array = np.ndarray
PARTS = 20_000
"""Merged rows are divided into about this many parts in all, of equal weight; each is at least one part."""
CHANCE = 0.1
"""Equal rows are draws if chance explains this share of them, if the columns were independent ..."""
DIFFER = 0.1
"""... or if targets of equal inputs differ at this share of the rate at which any two targets differ."""


@dataclass(frozen=True, eq=False)
class Distinct:
    """The rows to train on; all arrays are (m,)."""

    order: Array
    """The row of the table at each position; the order depends on the rows' content only."""
    w: Array | None
    """Weights of mean 1; None if all are equal."""
    rows: Array
    """The number of rows, or the weight, that each position stands for."""
    counts: Array
    """The same where weights are whole; others are taken to have a mean of 1 row."""
    group: Array | None
    """Positions with the same number must be held out together; None if each may be held out alone."""
    draws: bool = False
    """Whether rows have equal inputs and are taken to be independent draws."""


def distinct(x: Array, y: Array, w: Array | None, columns: Iterable[Array] = (), keys: Array | None = None) -> Distinct:
    """Merge equal rows of encoded x (n, d) and y (n, ...), with weights w (n,), and divide those that are draws.

    A row that occurs three times trains to the same bits as a row of weight 3, and a sorted table like a shuffled one.
    `columns`: the columns of the inputs, (n,) each, from which chance is estimated. `keys`, (n,) uint64: rows with
    different ones are not merged, and who holds rows out goes by them alone.
    """
    inputs, whole = marks(x), marks(y.reshape(len(y), -1)) * MIX
    inputs = inputs if keys is None else inputs ^ keys
    there = np.arange(len(x)) if w is None else np.flatnonzero(w > 0)
    inputs, target = inputs[there], whole[there]
    counts = np.ones(len(there)) if w is None else _counts(w[there])
    mark, first, group = np.unique(inputs ^ target, return_index=True, return_inverse=True)
    cells, cell = np.unique(inputs[first], return_inverse=True)
    joint = np.bincount(group, counts, len(mark))
    rows = joint if w is None else np.bincount(group, w[there], len(mark))
    same_inputs = keys is None and len(cells) < joint.sum()
    apart = same_inputs and _draws(joint, cell, target, counts, first, group, columns, there)
    parts = np.maximum(np.rint(joint / max(1.0, joint.sum() / PARTS)), 1).astype(int) if apart else np.ones_like(first)
    at, order = np.repeat(np.arange(len(mark)), parts), _order(mark, parts)
    at = at[order]
    share = joint[at] / parts[at]
    same = bool(np.allclose(share, share[0], rtol=1e-12)) if len(share) else True
    together = None if apart or keys is not None or len(cells) == len(mark) else cell[at]
    weight = None if same else (share / share.mean()).astype(np.float32)
    return Distinct(there[first[at]], weight, rows[at] / parts[at], share, together, bool(apart))


def _counts(w: Array) -> Array:
    """Whole weights are numbers of rows; others have a mean of 1 row."""
    return w if (w == np.rint(w)).all() else w * (len(w) / w.sum())


def _order(mark: Array, parts: Array) -> Array:
    """Sort the parts of all rows by a hash of the row and the number of the part."""
    number = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    own = np.repeat(mark, parts) + number.astype(np.uint64) * MIX
    mixed = (own ^ (own >> np.uint64(29))) * MIX
    return np.argsort(np.where(number == 0, own, mixed ^ (mixed >> np.uint64(32))), kind="stable")


def _draws(
    joint: Array, cell: Array, target: Array, counts: Array, first: Array, group: Array,
    columns: Iterable[Array], there: Array,
) -> bool:  # fmt: skip
    """Whether rows with equal inputs are independent draws, and not copies."""
    total, inputs = joint.sum(), np.bincount(cell, joint)
    goals = np.bincount(np.unique(target[first], return_inverse=True)[1], joint)
    pairs = np.square(inputs).sum() - np.square(joint).sum()  # equal inputs, different targets
    apart = total**2 - np.square(goals).sum()
    alike = np.square(inputs).sum() - inputs.sum()
    if apart > 0 and alike > 0 and pairs / alike >= DIFFER * apart / total**2:
        return True
    copies = float(np.square(joint).sum() - joint.sum())
    expected = float(np.square(goals).sum())
    for column in columns:
        found = np.unique(column[there], return_inverse=True)[1]
        expected *= float(np.square(np.bincount(found, counts)).sum()) / total**2
        if expected < CHANCE * copies:
            return False
    return True
