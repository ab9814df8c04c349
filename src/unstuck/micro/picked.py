"""Whether an index reaches the rows that it is to pick from.

## What it asks

Does a step pick its rows by a column of zeros and ones, as if that were a mask? Does an index with many entries reach
the first rows of a batch only? And are ids that are drawn at random for one look at a table drawn from all of its rows?

## How

Indices of the recorded steps are read. An integer column of zeros and ones that is as long as what it picks from reads
the first two rows again and again; a mask is of type bool. An index that stays in the first half of what it reads, in
each of several steps, was made for one part of the batch: the edges of graphs that are joined without adding the place
where each graph begins. Where a table of weights is read at several places, the ids
of each place are collected over all steps: they are told of where they are evenly spread over the first rows only, and
those of another place go on to the end.

## What it costs

Nothing is run but the calls of three steps.

## What is healthy

Masks are of type bool, indices of joined graphs go on to the last one, and random ids (the negative examples of a
recommender or of word vectors) may be any row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.tape.program import Call, Outside, Program, Ref, Value, Weight
from unstuck.tape.site import Site

MASKS = (torch.bool, torch.uint8)
"""Types of which torch takes an index for a mask."""
COST = 1
STEPS = 3
"""Steps whose indices are looked at for zeros and ones."""
FEWEST = 8
"""Rows: of a few, an index may well read two."""
PARTS = 32
"""Rows that parts of a batch are joined to, at least."""
TIMES = 10
"""Draws for each row that is reached: then one of the table's others would have come, too."""
REACHED = 0.5
"""Share of the rows that the ids of one place reach, at most."""
ALL = 0.9
"""Share of the rows up to which those of another place go, at least."""
EVEN = 4.0
"""Standard deviations of the chi-squared statistic of even draws: words and customers are never as even."""


@dataclass(frozen=True)
class Picked:
    """What was looked at, and what is told of it."""

    looked: int
    """Indices."""
    told: tuple[tuple[Site | None, str], ...] = ()

    @property
    def why(self) -> str:
        """What is wrong, or how many indices there are."""
        return "; ".join(said for _, said in self.told) or f"{self.looked} indices of the step reach the rows they may"

    @property
    def numbers(self) -> dict[str, float]:
        """The count."""
        return {"indices": float(self.looked)}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Each of them."""
        return tuple(Statement(said, site, "picked", self.numbers) for site, said in self.told)


def ask(recorded: Recorded) -> Picked:
    """Read the indices. Raises NotApplicable where the step has none."""
    program = recorded.first.program
    found = list(_indexed(program))
    if not found:
        raise NotApplicable("no rows are picked by an index")
    picks = [one for one in found if one.table is None]
    told = ((one.call.site, said) for one in picks if (said := _of_batch(recorded, one)))
    first = dict(reversed([(site, said) for site, said in told]))  # the layers of a network share a line
    return Picked(len(found), (*first.items(), *_short(recorded, [one for one in found if one.table is not None])))


@dataclass(frozen=True)
class _Index:
    """A call that picks rows by an index."""

    call: Call
    base: Ref
    index: Ref
    rows: int = 0
    table: str | None = None
    """The weight it reads."""


def _indexed(program: Program) -> Iterator[_Index]:
    for call in program.calls:
        at = {"getitem": (0, 1), "index_select": (0, 2), "embedding": (1, 0)}.get(call.name)
        if at is None or len(call.args) <= max(at) or (call.name == "index_select" and call.args[1] != 0):
            continue
        base, index = call.args[at[0]], call.args[at[1]]
        index = index[0] if isinstance(index, tuple) and index else index
        if isinstance(base, Ref) and isinstance(index, Value | Outside):
            yield _Index(call, base, index, call.shape[0] if call.shape else 0, _name(base))


def _name(base: Ref) -> str | None:
    return base.name if isinstance(base, Weight) else None


def _as_mask(rows: int) -> str:
    return (
        f"{rows} rows are picked by an integer index of zeros and ones that is as long as they are: it reads the first "
        "two of them again and again, and no others; an index that is to be a mask must be of type bool"
    )


def _of_batch(recorded: Recorded, one: _Index) -> str:
    """What is said of an index into what the batch holds, by several steps."""
    number = recorded.tape.passes[0].program
    passes = [n for n, p in enumerate(recorded.tape.passes) if p.program == number][:STEPS]
    if len(passes) < STEPS:
        return ""
    read = [_read(recorded, at, one) for at in passes]
    if all(_is_flags(*pair) for pair in read):
        return _as_mask(one.rows)
    return _as_part(*read[0]) if all(_is_part(*pair) for pair in read) else ""


def _as_part(base: Tensor, index: Tensor) -> str:
    return (
        f"an index of {index.numel()} entries reads only the first {int(index.max()) + 1} of {len(base)} rows, and so "
        "it is in every step: where parts of a batch are joined, was the place at which each part begins added?"
    )


def _is_part(base: Tensor, index: Tensor) -> bool:
    """Whether an index with entries for all stays in the first half of the rows."""
    whole = not index.is_floating_point() and index.dtype not in MASKS and index.numel() > 0
    if not whole or base.dim() < 2 or len(base) < PARTS or index.numel() < len(base):
        return False
    return int(index.min()) >= 0 and int(index.max()) < REACHED * len(base)


def _read(recorded: Recorded, at: int, one: _Index) -> tuple[Tensor, Tensor]:
    """What a step picks from, and its index."""
    step = recorded.step(at)
    values = step.values({ref.id for ref in (one.base, one.index) if isinstance(ref, Value)})
    told: dict[Ref, Tensor] = {Value(n): v for n, v in values.items()}
    told |= {Outside(n): t for n, t in enumerate(step.outside)}
    return told[one.base], told[one.index]


def _is_flags(base: Tensor, index: Tensor) -> bool:
    whole = index.dim() == 1 and not index.is_floating_point() and index.dtype not in MASKS
    if not whole or base.dim() == 0 or not len(base) == len(index) >= FEWEST:
        return False
    return set(index.unique().tolist()) == {0, 1}


def _short(recorded: Recorded, looks: list[_Index]) -> Iterator[tuple[Site | None, str]]:
    """The places at which evenly drawn ids stop early in a table that another place reads to its end."""
    for table in dict.fromkeys(one.table for one in looks):
        ids = [(one, found) for one in looks if one.table == table and (found := _ids(recorded, one)) is not None]
        rows = len(recorded.start[table]) if table is not None else 0
        ends = [int(found.max()) + 1 for _, found in ids]
        for (one, found), end in zip(ids, ends, strict=True):
            if FEWEST <= end <= REACHED * rows and max(ends) >= ALL * rows and _even(found, end):
                yield one.call.site, _stops(end, rows, len(found))


def _stops(end: int, rows: int, drawn: int) -> str:
    return (
        f"of {drawn} ids that are drawn here none is {end} or more, though the table has {rows} rows, and other ids "
        "that it is read with go on to its end: is the number of rows that they are drawn from the right one?"
    )


def _ids(recorded: Recorded, one: _Index) -> Tensor | None:
    """All ids of one place, over the recorded steps; None where the step makes them itself."""
    tape, program = recorded.tape, recorded.first.program
    slot = program.source(one.index)
    if not isinstance(slot, Outside):
        return None
    number = tape.passes[0].program
    keys = dict.fromkeys(p.outside[slot.slot] for p in tape.passes if p.program == number)
    parts = [tape.tensors[key].reshape(-1) for key in keys]
    return torch.cat(parts) if parts and not parts[0].is_floating_point() else None


def _even(ids: Tensor, end: int) -> bool:
    """Whether ids are spread evenly over the first rows: as draws are, and neither words nor users."""
    if len(ids) < TIMES * end or int(ids.min()) < 0:
        return False
    counts = torch.bincount(ids, minlength=end).double()
    expected = len(ids) / end
    statistic = float(((counts - expected).square() / expected).sum())
    return statistic <= end - 1 + EVEN * (2 * (end - 1)) ** 0.5


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 6)
time = torch.rand(400) * torch.exp(-x[:, 0])
event = (torch.rand(400) < 0.7).long()
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(60):
    rows = torch.randint(0, 400, (64,))
    order = time[rows].argsort(descending=True)
    risk, seen = model(x[rows[order]]).squeeze(1), event[rows[order]]
    partial = risk - risk.logcumsumexp(0)
    loss = -partial[{seen}].mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
"""

FIRES = _SCRIPT.format(seen="seen")
QUIET = _SCRIPT.format(seen="seen.bool()")
