"""Whether the ids that the step looks up in a table are nearly always one and the same.

## What it asks

Do the ids that a lookup gets tell the rows apart? A vocabulary that does not know the words gives every word the id of
the unknown one; a generator that is seeded anew draws the same negative example for every row.

## How

The ids of each lookup are counted over all recorded batches, without padding. One id that makes up most of them is told
of where another lookup of the same table gets many different ids, or all lookups of the step are like that and most of
the table's rows are never looked up: a rare category beside other inputs is none.

## What it costs

Nothing is run.

## What is healthy

The ids of a lookup differ from row to row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.signals.task import main_program
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Outside, Program, Weight
from unstuck.tape.site import Site

COST = 1
MOSTLY = 0.9
"""Share of the ids, from which on one of them is nearly all."""
SMALLEST = 8
"""Rows of a table: one with fewer may hold a flag that is hardly ever set."""
FEWEST = 200
"""Ids that are counted, at least."""
BATCHES = 200


@dataclass(frozen=True)
class Lookup:
    """What one lookup gets over all recorded batches."""

    call: Call
    table: str
    size: int
    """Rows of the table."""
    counts: Tensor
    """(size,) how often each row is looked up; 0 for the padding."""

    @property
    def share(self) -> float:
        """Of the most frequent id."""
        return float(self.counts.max()) / max(1.0, float(self.counts.sum()))

    @property
    def used(self) -> int:
        """How many different ids."""
        return int((self.counts > 0).sum())


@dataclass(frozen=True)
class OneId:
    """The lookups, and those that nearly always get the same id."""

    lookups: tuple[Lookup, ...]
    stuck: tuple[tuple[Lookup, Lookup | None], ...] = ()
    """Each with another lookup of its table that gets many ids."""

    @property
    def why(self) -> str:
        """The first such lookup, or the largest share."""
        if self.stuck:
            return said(self)[0]
        return f"no id makes up more than {max(one.share for one in self.lookups):.0%} of what a table is asked for"

    @property
    def blank(self) -> bool:
        """Whether every lookup of the step nearly always gets one id."""
        return bool(self.stuck) and all(one.share >= MOSTLY for one in self.lookups)

    @property
    def numbers(self) -> dict[str, float]:
        """The largest share, and the number of such lookups."""
        return {"share": max(one.share for one in self.lookups), "lookups": float(len(self.stuck))}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Each such lookup."""
        numbers = self.numbers
        return tuple(
            Statement(
                _said(one, other), _site(one, other), "one-id", numbers, "input-degenerate" if other is None else ""
            )
            for one, other in self.stuck
        )


def ask(recorded: Recorded) -> OneId:
    """Count the ids. Raises NotApplicable where the step looks nothing up by ids that enter."""
    tape, number = recorded.tape, main_program(recorded.tape)
    lookups = tuple(_lookups(tape, tape.programs[number], number))
    if not lookups:
        raise NotApplicable("the step looks up no ids that enter")
    stuck = [one for one in lookups if one.share >= MOSTLY]
    told = [(one, next((o for o in lookups if o.table == one.table and _varied(o)), None)) for one in stuck]
    blank = len(stuck) == len(lookups)
    return OneId(lookups, tuple((one, other) for one, other in told if other or (blank and _unused(one, lookups))))


def said(found: OneId) -> tuple[str, Site | None]:
    """What is said of the first such lookup, and its line."""
    return _said(*found.stuck[0]), _site(*found.stuck[0])


def _varied(lookup: Lookup) -> bool:
    return lookup.used >= SMALLEST and lookup.share < MOSTLY


def _unused(lookup: Lookup, lookups: tuple[Lookup, ...]) -> bool:
    """Whether most rows of its table are never looked up."""
    counts = torch.stack([one.counts for one in lookups if one.table == lookup.table]).sum(0)
    return int((counts > 0).sum()) <= lookup.size / 2


def _lookups(tape: Tape, program: Program, number: int) -> Iterator[Lookup]:
    """One for each slot that is looked up in a table of some size."""
    seen = set[int]()
    for call in program.calls:
        slot = next((r.slot for r in call.refs() if isinstance(r, Outside)), None)
        table = next((r.name for r in call.refs() if isinstance(r, Weight)), "")
        if call.op.kind != "lookup" or slot is None or not table or slot in seen:
            continue
        seen.add(slot)
        size = len(tape.start(table))
        counts = _counts(tape, number, slot, call, size) if size >= SMALLEST else None
        if counts is not None and int(counts.sum()) >= FEWEST:
            yield Lookup(call, table, size, counts)


def _counts(tape: Tape, number: int, slot: int, call: Call, size: int) -> Tensor | None:
    """(size,) how often each id is asked for."""
    keys = [p.outside[slot] for p in tape.passes if p.program == number]
    batches = [tape.tensors[key] for key in keys[:BATCHES]]
    if any(b.is_floating_point() or not b.numel() for b in batches):
        return None
    ids = torch.cat([b.flatten().long() for b in batches])
    counts = torch.bincount(ids.clamp(0, size - 1), minlength=size)
    padding = call.argument(2, "padding_idx")
    if isinstance(padding, int) and padding >= 0:
        counts[padding] = 0
    elif batches[0].dim() > 1 and (filling := _filling(batches)) is not None and filling < size:
        counts[filling] = 0
    return counts


def _filling(batches: list[Tensor]) -> int | None:
    """The id that fills rows up at one end beside others, in every row that holds it: padding that is not declared."""
    tables = [b.reshape(-1, b.shape[-1]) for b in batches]
    for place, turned in ((-1, True), (0, False)):
        ends = torch.cat([t[:, place] for t in tables])
        common = int(ends.long().mode().values)
        if all(_at_end(t == common, turned) for t in tables):
            return common
    return None


def _at_end(held: Tensor, turned: bool) -> bool:
    """Whether what is held stands together at the end of each row (`turned`) or at its start, and never alone."""
    held = held.flip(-1) if turned else held
    return bool((held.long().cumprod(-1).bool() == held).all()) and not bool(held.all(-1).any())


def _said(one: Lookup, other: Lookup | None) -> str:
    most = int(one.counts.argmax())
    beside = (
        f"another lookup of the table gets {other.used} different ones"
        if other is not None
        else f"{one.size - one.used} of the table's {one.size} rows are never looked up"
    )
    what = (
        "all" if one.share == 1.0 else f"{min(one.share, 0.999):.3g} of" if one.share > 0.995 else f"{one.share:.0%} of"
    )
    return f"{what} the ids that are looked up are {most}, and {beside}: do the ids tell the rows apart?"


def _site(one: Lookup, other: Lookup | None) -> Site | None:
    """The line of the lookup; where two lookups stand at one line, that from which this one is called."""
    theirs = other.call.sites if other is not None else ()
    return next((s for s in one.call.sites if s not in theirs), one.call.site)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
words = [f"word{{n}}" for n in range(60)]
known = {{{known}: n + 1 for n, word in enumerate(words)}}
texts = torch.randint(0, 60, (900, 6))
ids = torch.tensor([[known.get(words[w], 0) for w in text] for text in texts])
y = (texts[:, 0] % 3)
table, layer = nn.Embedding(61, 16), nn.Linear(16, 3)
optimizer = torch.optim.Adam([*table.parameters(), *layer.parameters()], lr=0.01)
for epoch in range(5):
    for rows in torch.randperm(900).split(30):
        loss = nn.functional.cross_entropy(layer(table(ids[rows]).sum(1)), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(known="word.title()")
QUIET = _SCRIPT.format(known="word")
