"""One memory read with its axes in another order: what a reshape made of it, and what was meant."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING, NamedTuple

from unstuck.tape.program import Call, Program, Value

if TYPE_CHECKING:
    from torch import Tensor

Shape = tuple[int, ...]


class Regrouping(NamedTuple):
    """What a reshape was meant to do: split the axes, move the parts, and only then join them to the new shape."""

    split: Shape
    order: tuple[int, ...]
    """The part for each place."""
    whole: bool = False
    """The parts are the axes, before and after: it is a transposition and nothing else."""
    apart: bool = False
    """The parts are the axes before: none is split."""


def regrouped(before: Shape, after: Shape) -> Regrouping | None:
    """The transposition that a reshape leaves out; None for one that only splits and joins neighbouring axes.

    An axis that both shapes have, with its ends at other places of the memory, is meant to stay the same axis: from
    (rows, words, heads * size) to (rows * heads, words, size), a new "word" is made of pieces of several old ones.
    """
    split: list[int] = []
    order: list[int] = []
    for old, new in _groups([n for n in before if n != 1], [n for n in after if n != 1]):
        parts = _parts(old, new)
        if parts is None:
            return None
        order += (len(split) + place for place in parts.order)
        split += parts.split
    apart = tuple(split) == before
    whole = apart and tuple(split[place] for place in order) == after
    return Regrouping(tuple(split), tuple(order), whole, apart) if order != sorted(order) else None


def left_out(program: Program, call: Call) -> Regrouping | None:
    """The transposition that a call leaves out, where it is a reshape between layers."""
    given = call.refs()[0] if call.name in ("view", "reshape") and call.refs() else None
    maker = program.maker(given)
    shape = maker.shape_of(given.id) if maker is not None and isinstance(given, Value) else None
    return regrouped(shape, call.shape) if shape is not None else None


def _groups(old: list[int], new: list[int]) -> Iterator[tuple[list[int], list[int]]]:
    """The axes between places of the memory at which both shapes have an end of an axis."""
    cuts, again = list(accumulate(old, mul)), list(accumulate(new, mul))
    start, begin = 0, 0
    for cut in sorted({*cuts} & {*again}):
        end, stop = cuts.index(cut) + 1, again.index(cut) + 1
        yield old[start:end], new[begin:stop]
        start, begin = end, stop


def _parts(old: list[int], new: list[int]) -> Regrouping | None:
    """Of one group; None where no axis is in both, or the others do not fit into each other."""
    if len(old) == 1 or len(new) == 1:
        return Regrouping(tuple(old), tuple(range(len(old))))
    same = {size for size in old if old.count(size) == new.count(size) == 1}
    rest, again = [n for n in old if n not in same], [n for n in new if n not in same]
    ends = sorted({*accumulate(rest, mul), *accumulate(again, mul)})
    sizes = [end // start for start, end in zip([1, *ends], ends, strict=False)]
    if not same or math.prod(sizes) != math.prod(rest):
        return None
    first, last = _labelled(old, same, sizes), _labelled(new, same, sizes)
    return Regrouping(tuple(size for size, _ in first), tuple(first.index(part) for part in last))


def _labelled(shape: list[int], same: set[int], sizes: list[int]) -> list[tuple[int, int]]:
    """The parts of each axis in order, as (size, number); -1 for an axis that is in both shapes."""
    found, at = [], 0
    for size in shape:
        left = size
        if size in same:
            found.append((size, -1))
            continue
        while left > 1:
            found.append((sizes[at], at))
            left, at = left // sizes[at], at + 1
    return found


def turned(tensor: Tensor, features_first: bool) -> Tensor:
    """(rows, channels, *along) or (rows, along, features): the same memory, the features read from the other side."""
    rows, *rest = tensor.shape
    if features_first:
        return tensor.reshape(rows, *rest[1:], rest[0]).movedim(-1, 1)
    return tensor.reshape(rows, rest[-1], *rest[:-1]).movedim(1, -1)
