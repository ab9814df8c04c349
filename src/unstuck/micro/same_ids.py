"""Whether an id means the same in the evaluation as in the training.

## What it asks

Does what the training rows say about an id (a user, a word, a category) hold for the rows of the script's evaluation?

## How

Of half of the different training rows (by all that enters for them) the mean target of each id is taken. These means
are compared with the targets of the other half, and with those of the evaluated rows; ids that the first half does not
hold are left out.

## What it costs

Nothing is run.

## What is healthy

Both agree about as well. Where the training's own rows agree and the evaluation's do not at all, ids were numbered
anew for the evaluation: categories, a vocabulary or a label encoder made from each table by itself. Make them once,
from the training rows, and map the others with them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.signals.recomputed import Answers
from unstuck.tape.program import Call, Outside, Program, Weight
from unstuck.tape.site import Site

COST = 1
LEAST = 0.2
"""Correlation within the training below which its ids say too little."""
SHARE = 1 / 3
"""Of that correlation: what other rows of another time lose is less."""
SURE, CHANCE = 4.0, 3.0
"""Standard deviations: of the difference between both; and from 0 up to which the evaluation's may be chance (Fisher's
z transformation of a correlation)."""
ROWS = 50
"""Rows of each side, without ids that are not known."""
CLASSES = 64
MOST = 40_000
"""Rows of the training that are looked at."""


@dataclass(frozen=True)
class SameIds:
    """Correlation of ids' mean targets with the targets of other rows: of the training, and of the evaluation."""

    within: float
    outside: float
    rows: int
    """Rows of the evaluation that were compared."""
    told: bool
    site: Site | None = None

    @property
    def why(self) -> str:
        """Both correlations."""
        return (
            f"the mean target of each id in half of the training rows agrees with the other half "
            f"(correlation {self.within:.2f}) and with {self.rows} rows of the evaluation ({self.outside:.2f})"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """Both correlations."""
        return {"within the training": self.within, "evaluation": self.outside, "rows": float(self.rows)}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That ids are numbered differently in the evaluation."""
        if not self.told:
            return ()
        said = (
            f"ids are numbered differently in the evaluation and in the training: their mean targets agree between "
            f"halves of the training rows (correlation {self.within:.2f}), and not with {self.rows} rows of the "
            f"evaluation ({self.outside:.2f}); were categories or a vocabulary made from each table by itself?"
        )
        return (Statement(said, self.site, "same-ids", self.numbers, "label-misaligned"),)


def ask(recorded: Recorded) -> SameIds:
    """Compare ids. Raises NotApplicable where none enter, or the targets of evaluated rows are not known."""
    answers = Answers.read(recorded.tape)
    program = answers.tape.programs[answers.main]
    found = [one for call in _lookups(program) if (one := _compared(answers, call)) is not None]
    if not found:
        raise NotApplicable("no ids enter whose targets are known in the training and in the evaluation")
    return max(found, key=lambda one: (one.told, one.within))


def _lookups(program: Program) -> Iterator[Call]:
    """The embeddings of what enters, one for each slot."""
    seen = set[Outside]()
    for call in program.calls:
        slot = next((r for r in call.refs() if isinstance(r, Outside)), None)
        if call.name == "embedding" and slot is not None and slot not in seen and _table(call):
            seen.add(slot)
            yield call


def _table(call: Call) -> str:
    return next((r.name for r in call.refs() if isinstance(r, Weight)), "")


def _slot(call: Call) -> int:
    return next(r.slot for r in call.refs() if isinstance(r, Outside))


def _compared(answers: Answers, call: Call) -> SameIds | None:
    asked, site = _asked(answers, _table(call))
    if asked is None or not bool(asked[1].std(0).any()):
        return None  # equal targets are those of no rows
    trained = _trained(answers, _slot(call))
    if trained is None:
        return None
    ids, wanted = trained
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))
    one, other = order[: len(order) // 2], order[len(order) // 2 :]
    means = _Means.of(ids[one], wanted[one])
    within, n = means.agreement(ids[other], wanted[other])
    outside, m = means.agreement(*asked)
    if min(n, m) < ROWS:
        return None
    apart = (_z(within) - _z(outside)) * math.sqrt((min(n, m) - 3) / 2)
    told = within >= LEAST and outside < SHARE * within and apart >= SURE and _z(outside) * math.sqrt(m - 3) < CHANCE
    return SameIds(within, outside, m, told, site)


def _z(correlation: float) -> float:
    return math.atanh(max(-0.999, min(0.999, correlation)))


def _trained(answers: Answers, slot: int) -> tuple[Tensor, Tensor] | None:
    """(rows, words), (rows, K): the different training rows' ids and targets."""
    tape, target = answers.tape, answers.task.target
    if target is None:
        return None
    keys = dict.fromkeys(p.outside for p in tape.passes if p.program == answers.main)
    batches = [[tape.tensors[key] for key in outside] for outside in keys]
    batches = batches[: 1 + MOST // max(1, batches[0][slot].shape[:1].numel())]
    known = [(b, rows) for b in batches if (rows := _rows(answers, b[slot], b[target])) is not None]
    joined = _joined([rows for _, rows in known])
    if joined is None:
        return None
    places = _different([b for b, _ in known], slot)
    return joined[0][places], joined[1][places]


def _different(batches: list[list[Tensor]], slot: int) -> Tensor:
    """The places of the different rows, by all that enters for them: one that comes again in the next epoch tells
    nothing about others."""
    seen: dict[bytes, int] = {}
    at = 0
    for batch in batches:
        for key in _keys(batch, len(batch[slot])):
            seen.setdefault(key, at)
            at += 1
    return torch.tensor(list(seen.values()))


def _keys(entering: list[Tensor], rows: int) -> list[bytes]:
    """What tells a row from others: all that enters for it, in any order of the tensors."""
    parts = [t.detach().reshape(rows, -1).double() for t in entering if t.dim() and len(t) == rows]
    return [row.tobytes() for row in torch.cat(parts, 1).sort(1).values.numpy()]


def _met(answers: Answers) -> set[bytes]:
    """The rows that were trained on."""
    target = answers.task.target
    keys = dict.fromkeys(p.outside for p in answers.tape.passes if p.program == answers.main)
    batches = ([answers.tape.tensors[key] for key in outside] for outside in keys)
    return {key for b in batches if target is not None and b[target].dim() for key in _keys(b, len(b[target]))}


def _asked(answers: Answers, table: str) -> tuple[tuple[Tensor, Tensor] | None, Site | None]:
    """The same of the rows of the last evaluations that were not trained on, and where these look ids up."""
    tape, parts, site, met = answers.tape, [], None, None
    last = max((e.after for e in tape.evaluations), default=-1)
    for number in (n for n, e in enumerate(tape.evaluations) if e.after == last):
        place = answers.place(number)
        program = tape.programs[tape.evaluations[number].program]
        call = next((c for c in _lookups(program) if _table(c) == table), None)
        if place is None or call is None:
            continue
        site, outside = call.site, tape.evaluations[number].outside
        entering = [tape.tensors[key] for key in outside]
        rows = _rows(answers, entering[_slot(call)], entering[place[1]])
        if rows is not None:
            met = _met(answers) if met is None else met
            fresh = torch.tensor([key not in met for key in _keys(entering, len(rows[0]))])
            parts.append((rows[0][fresh], rows[1][fresh]))
    return _joined(parts), site


def _joined(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor] | None:
    if not parts:
        return None
    widest = max(a.shape[1] for a, _ in parts)
    ids = [torch.nn.functional.pad(a, (0, widest - a.shape[1]), value=-1) for a, _ in parts]
    return torch.cat(ids), torch.cat([b for _, b in parts])


def _rows(answers: Answers, ids: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor] | None:
    """(rows, words) whole numbers, (rows, K) targets; None where these do not belong to each other."""
    rows = len(ids) if ids.dim() else 0
    if not rows or ids.is_floating_point() or wanted.numel() != rows or len(wanted) != rows:
        return None
    if answers.task.kind == "classes" and not wanted.is_floating_point():
        if not 0 <= int(wanted.min()) <= int(wanted.max()) < min(answers.yard.classes, CLASSES):
            return None
        told = torch.nn.functional.one_hot(wanted.reshape(-1), answers.yard.classes).double()
    else:
        told = wanted.reshape(-1, 1).double()
    return ids.reshape(rows, -1).long(), told


@dataclass(frozen=True)
class _Means:
    """The mean target of each id, less the mean of all."""

    table: Tensor
    known: Tensor
    """(ids,) How many rows hold it."""

    @classmethod
    def of(cls, ids: Tensor, wanted: Tensor) -> _Means:
        words, rows = ids.reshape(-1), torch.arange(len(ids)).repeat_interleave(ids.shape[1])
        words, rows = words[words >= 0], rows[words >= 0]
        size = int(words.max()) + 1
        centred = wanted - wanted.mean(0)
        sums = torch.zeros(size, wanted.shape[1], dtype=torch.double).index_add_(0, words, centred[rows])
        known = torch.bincount(words, minlength=size)
        return cls(sums / known.clamp(min=1)[:, None], known)

    def agreement(self, ids: Tensor, wanted: Tensor) -> tuple[float, int]:
        """Correlation of rows' targets with the mean of their ids, and how many rows have a known one."""
        inside = (ids >= 0) & (ids < len(self.known))
        safe = ids.clamp(0, len(self.known) - 1)
        counts = (inside & (self.known[safe] > 0)).double()
        rows = counts.sum(1) > 0
        if int(rows.sum()) < 2:
            return 0.0, 0
        told = (self.table[safe] * counts[..., None]).sum(1)[rows] / counts.sum(1)[rows, None]
        told, wanted = told - told.mean(0), wanted[rows] - wanted[rows].mean(0)
        size = float(told.norm() * wanted.norm())
        return (float((told * wanted).sum()) / size if size else 0.0), int(rows.sum())


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
likes = torch.randn(60)
people = torch.randint(0, 60, (1500,))
y = likes[people] + 0.3 * torch.randn(1500)
numbers = torch.randperm(60)
model = nn.Sequential(nn.Embedding(60, 8), nn.Linear(8, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(8):
    for rows in torch.randperm(1200).split(60):
        loss = nn.functional.mse_loss(model(people[rows]).squeeze(1), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        error = nn.functional.mse_loss(model({ids}).squeeze(1), y[1200:])
    print(epoch, loss.item(), error.item())
"""

FIRES = _SCRIPT.format(ids="numbers[people[1200:]]")
QUIET = _SCRIPT.format(ids="people[1200:]")
