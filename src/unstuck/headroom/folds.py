"""Folds whose rows have nothing to do with each other: by groups, by blocks of time, else at random.

Windows cut from one series share most of their values, and so do several rows of one patient: a learner that is asked
about a row whose neighbours it trained on looks better than it is. Both are recognised by values alone.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.headroom.rows import Rows

FOLDS = 3
SHARED = 0.5
"""Share of the rows that must share steps with others before they count as windows of one series."""
LEAST = 4
"""Steps of a row below which it is no window."""
GROUPS = 10
"""Groups, at least: fewer values repeated over the rows are kinds of things, not things."""
LARGEST = 4_000_000
"""Numbers of a part above which windows are not looked for."""
COLUMNS = 400
"""Columns of a table above which groups are not looked for: a picture's pixels are none."""


@dataclass(frozen=True)
class Folds:
    """Pairs of rows to train on and rows to ask about; together all rows are asked about once."""

    pairs: tuple[tuple[Tensor, Tensor], ...]
    how: str
    """`at random`, `by groups`, or `by blocks of time`."""


def folds(rows: Rows) -> Folds:
    """The folds of some rows."""
    for part in rows.parts:
        if not part.looked_up and part.values[0].numel() > 1:
            if (found := _by_time(part.values.float())) is not None:
                return found
            if (found := _by_groups(part.values.float())) is not None:
                return found
    order = torch.randperm(len(rows), generator=_seeded())
    return Folds(_rest(tuple(order[n::FOLDS] for n in range(FOLDS))), "at random")


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(2)


def _rest(asked: tuple[Tensor, ...]) -> tuple[tuple[Tensor, Tensor], ...]:
    return tuple((torch.cat([a for a in asked if a is not one]), one) for one in asked)


# -- groups ----------------------------------------------------------------------------------------------------------


def _by_groups(values: Tensor) -> Folds | None:
    """Folds of whole groups, where two columns repeat together: what belongs to a patient and not to a visit."""
    group = groups(values) if values.dim() == 2 and values.shape[1] <= COLUMNS else None
    if group is None:
        return None
    fold = torch.randperm(int(group.max()) + 1, generator=_seeded()) % FOLDS
    return Folds(_rest(tuple((fold[group] == n).nonzero().flatten() for n in range(FOLDS))), "by groups")


def groups(table: Tensor) -> Tensor | None:
    """(rows,) a number for each group of a table (rows, columns): None where no two columns repeat together."""
    seen: set[bytes] = set()
    for number in map(_numbered, table.T):
        key = number.numpy().tobytes()
        if not GROUPS <= int(number.max()) + 1 <= len(table) // 2:
            continue
        if key in seen:
            return number
        seen.add(key)
    return None


def _numbered(column: Tensor) -> Tensor:
    """Each value's number, in the order of first appearance: equal for columns that repeat together."""
    _, number = torch.unique(column, return_inverse=True)
    first = torch.full((int(number.max()) + 1,), len(column)).scatter_reduce(
        0, number, torch.arange(len(column)), "amin"
    )
    return first.argsort().argsort()[number]


# -- time ------------------------------------------------------------------------------------------------------------


def _by_time(values: Tensor) -> Folds | None:
    """Contiguous blocks of windows, without training rows that share a step with the rows asked about."""
    axes = (1,) if values.dim() == 2 else (1, 2) if values.dim() == 3 else ()
    for axis in axes:
        steps = _steps(values.movedim(axis, 1)) if values.numel() <= LARGEST and values.shape[axis] >= LEAST else None
        order = _in_time(steps) if steps is not None else None
        if steps is not None and order is not None:
            blocks = order.tensor_split(FOLDS)
            pairs = tuple((_apart(train, asked, steps), asked) for train, asked in _rest(blocks))
            return Folds(pairs, "by blocks of time")
    return None


def _steps(values: Tensor) -> Tensor:
    """(rows, steps) a number for the content of each step of (rows, time, ...): of single numbers, of two in a row."""
    bits = values.contiguous().view(torch.int32).long().flatten(2) if values.dim() > 2 else _paired(values)
    odd = torch.randint(2**62, (bits.shape[2],), generator=_seeded()) * 2 + 1
    return torch.unique((bits * odd).sum(2), return_inverse=True)[1]


def _paired(values: Tensor) -> Tensor:
    bits = values.contiguous().view(torch.int32).long()
    return torch.stack([bits[:, :-1], bits[:, 1:]], 2)


def _in_time(steps: Tensor) -> Tensor | None:
    """The rows in the order of their series; None where too few share a step with another row, at another place.

    A step that occurs more often than windows that advance by one could make it is no mark of a place in a series.
    """
    links = _links(steps)
    if sum(map(bool, links)) < SHARED * len(links):
        return None
    return torch.tensor(sorted(range(len(steps)), key=_places(links).__getitem__))


def _links(steps: Tensor) -> list[list[tuple[int, int]]]:
    """Per row, rows that hold several of its steps, all so much later or earlier, and how much later they begin."""
    links: list[list[tuple[int, int]]] = [[] for _ in steps]
    for (row, other, later), often in Counter(_shared(steps)).items():
        if often > 1:
            links[row].append((other, later))
            links[other].append((row, -later))
    return links


def _shared(steps: Tensor) -> Iterator[tuple[int, int, int]]:
    """Two rows with a step in common, and how much later the second begins; for each step, rows in their order."""
    flat, length = steps.flatten(), steps.shape[1]
    order = flat.argsort(stable=True)
    often = torch.bincount(flat)[flat[order]]
    same = (flat[order][1:] == flat[order][:-1]) & (often[1:] <= length)
    for one, two in zip(order[:-1][same].tolist(), order[1:][same].tolist(), strict=True):
        (row, place), (other, there) = divmod(one, length), divmod(two, length)
        if place != there and row != other:
            yield row, other, place - there


def _places(links: list[list[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Per row, its series and where it begins in that."""
    known: dict[int, tuple[int, int]] = {}
    for first in range(len(links)):
        if first in known:
            continue
        known[first], waiting = (first, 0), deque([first])
        while waiting:
            row = waiting.popleft()
            for other, later in links[row]:
                if other not in known:
                    known[other] = (first, known[row][1] + later)
                    waiting.append(other)
    return [known[row] for row in range(len(links))]


def _apart(train: Tensor, asked: Tensor, steps: Tensor) -> Tensor:
    """The training rows that share no step with the rows asked about; all of them where none would be left."""
    apart = train[~torch.isin(steps[train], steps[asked]).any(1)]
    return apart if len(apart) >= len(train) // 4 else train
