"""Notes on the columns that the user should know about."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from unstuck.tabular.fit.categories import Column
from unstuck.tabular.fit.context import FEW
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.roles import listed
from unstuck.tabular.tables.refusal import shown

Array = np.ndarray
ROWS = 8
"""With fewer rows, consecutive numbers are coincidence."""
PIXELS = 1000
"""Above this many columns, they are not checked one by one."""
TAIL = 30.0
"""A column is skewed if a value is this many interquartile ranges from the median."""


def remarks(frame: Frame, encoder: Encoder, dates: frozenset[str] = frozenset()) -> Iterator[str]:
    """Notes on the columns of a frame. `dates`: the names of those that are dates or parts of one."""
    d = frame.numbers.shape[1]
    names = frame.names or tuple(f"column {j + 1}" for j in range(d + len(frame.words)))
    if len(frame) < FEW:
        yield f"{len(frame)} rows are too few to hold any out: the scores do not measure generalisation"
    yield from _counting(frame, names, dates)
    yield from _constant(encoder, tuple("" if name in dates and ": " in name else name for name in names[:d]))
    yield from _holes(encoder, frame, names)
    yield from _tails(encoder, names)
    yield from _many_words(encoder, names[d:])


def _counting(frame: Frame, names: tuple[str, ...], dates: frozenset[str]) -> Iterator[str]:
    """Columns that number the rows; a date in every row is none of them."""
    d, n = frame.numbers.shape[1], len(frame)
    if n < ROWS:
        return
    for j in range(d if d <= PIXELS and frame.numbers.dtype != np.uint8 else 0):
        column = frame.numbers[:, j]
        if (
            names[j] not in dates
            and column[1] == column[0] + 1
            and np.isfinite(column).all()
            and (np.diff(column) == 1).all()
        ):
            yield _identifier(names[j], "numbers the rows")
    for j, words in enumerate(frame.words):
        if len(set(words)) == n and None not in words and not _dated(words):
            yield _identifier(names[d + j], "has a distinct value in every row")


def _dated(words: Column) -> bool:
    """Whether half of the words are dates, though the column could not be read as dates."""
    import pyarrow as pa

    from unstuck.tabular.tables.dates import dates
    from unstuck.tabular.tables.notation import NEARLY

    some = pa.array([str(word) for word in words[:200]], pa.string())
    return any(True for _ in dates(some, NEARLY / 2))


def _identifier(name: str, how: str) -> str:
    return f"column {shown(name)} {how}: if it is an identifier, leave it out (--drop {name})"


def _constant(encoder: Encoder, names: tuple[str, ...]) -> Iterator[str]:
    kept = set(encoder.numeric.kept.tolist())
    constant = [name for j, name in enumerate(names) if j not in kept and name]
    if constant:
        yield f"{_count(constant)} constant or empty, ignored: {listed(constant)}"


def _holes(encoder: Encoder, frame: Frame, names: tuple[str, ...]) -> Iterator[str]:
    d = frame.numbers.shape[1]
    gaps = [names[j] for j, gap in zip(encoder.numeric.kept, encoder.numeric.gaps, strict=True) if gap]
    gaps += [names[d + j] for j, words in enumerate(frame.words) if None in words]
    if gaps:
        has = "has" if len(gaps) == 1 else "have"
        yield f"{listed(gaps)} {has} missing values: an extra input marks them"


def _tails(encoder: Encoder, names: tuple[str, ...]) -> Iterator[str]:
    numeric = encoder.numeric
    if not numeric.knots.size:
        return
    far = np.abs(numeric.knots).max(axis=1) > TAIL
    if far.any():
        bent = listed([names[numeric.kept[j]] for j in np.flatnonzero(far)])
        yield f"skewed columns or outliers, compressed so that they do not dominate: {bent}"


def _many_words(encoder: Encoder, names: tuple[str, ...]) -> Iterator[str]:
    for one, name in zip(encoder.words, names, strict=True):
        if one.cut:
            yield (
                f"column {shown(name)}: the {len(one.words)} most frequent words have an input each; the others, "
                f"{one.share_cut():.0%} of the words in the rows, share one"
            )


def _count(names: list[str]) -> str:
    return f"{len(names):,} columns are" if len(names) > 1 else "1 column is"
