"""Whether the target stands in the input, so that a copy solves the task.

## What it asks

Can the answer be read off the input: is the target of position t the input at t, or at a later position that the output
depends on? Is it a column of the input in another unit or coding? And is that what the trained network does?

## How

The recorded targets are laid beside every recorded input, at the same position and shifted along the sequence by up to
SHIFTS. Where they agree, the tokens (or numbers) of single positions are exchanged between the rows of a recorded
batch, and the trained network is asked again: its answer follows the exchanged input where it has learnt to copy. Which
earlier positions change tells whether the network can see the future at all, and the first call in which they do is
where it gets to see it. Columns of a table are compared with the target by a line through them, or by the classes that
go with each of their values.

## What it costs

About ten forwards of the recorded step.

## What is healthy

The answer is not in what the output depends on. An autoencoder, a masked language model and a task of copying do hold
their target in the input, on purpose: the first two see the whole of it through a bottleneck or with gaps, and of the
last the held-out score is as good.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Site, Statement
from unstuck.micro.answers import answers, last_weights
from unstuck.micro.step import REFUSED, Recorded, Step
from unstuck.signals.evaluation import FinalEvaluation
from unstuck.signals.task import Task, main_program
from unstuck.tape.interpreter import Way, run
from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Outside

COST = 10
FAULT = "answer-in-input"
SHIFTS = 3
"""Positions by which a target is looked for further on: the targets of forecasts and language models are one on."""
SAME = 0.99
"""Share of the counted positions at which target and input agree: the rest may be edges and replaced tokens (a masked
language model leaves 0.85 of its tokens as they are, and counts the others)."""
KINDS = 8
"""Different tokens: with fewer, two sequences agree by chance."""
ALIKE = 0.9
"""Share at which they agree at another shift too: then one token fills most of the sequence."""
WHOLE = 0.9
"""Share of followed inputs from which on no more needs to be said."""
SEEN = 0.01
"""Change at other positions, relative to that at the position itself, from which on they depend on it."""
LINE = 1e-4
"""Share of a target's variance that a straight line through one column may leave: rounding of a unit's conversion."""
ROWS = 50
"""Rows: of fewer, a column fits by chance."""
BATCHES = 8
"""Batches that targets and inputs are compared on."""
Form = Literal["same", "later", "column"]


@dataclass(frozen=True)
class Copied:
    """Where the target stands in the input."""

    form: Form
    slot: int
    share: float
    """Of the counted positions (or of the rows), those at which they agree."""
    shift: int = 0
    """By how many positions the input is further on."""
    column: int = -1
    follows: float | None = None
    """Share of exchanged inputs that the trained network's answer became; None where it could not be asked."""
    leans: float | None = None
    """Share of exchanged inputs that the trained network's answer moved towards; of what it does not copy, a half."""
    future: bool = False
    """Outputs depend on later positions of the input."""
    memory: bool = False
    """Outputs depend on earlier positions of the input."""
    at: Site | None = None
    """The call in which an output first sees later positions, else the loss."""
    held_out: float | None = None
    """Skill in the script's own last evaluation, or its share of right answers; None where it makes none."""

    @property
    def solved(self) -> bool:
        """A copy solves the task, and nothing else is asked for: the output depends on what it is to answer. A network
        that sees all of its input and is asked for it is an autoencoder, and so is one that sees one position only."""
        return self.form != "same" or (self.memory and not self.future)

    @property
    def what(self) -> str:
        """The fact, as a clause."""
        match self.form:
            case "column":
                return f"the target is column {self.column} of the input in {self.share:.0%} of the rows"
            case "same":
                return f"the target of each position is the input at that position ({self.share:.0%} of them)"
        further = "the next position" if self.shift == 1 else f"{self.shift} positions on"
        return f"the target is the input at {further} ({self.share:.0%} of them), and the output depends on it"

    @property
    def why(self) -> str:
        """The fact and whether the network copies."""
        if self.follows is None:
            return self.what
        leans = f" and leans to it in {self.leans:.0%}" if self.leans is not None and self.follows < WHOLE else ""
        asked = "exchange the input there, and the trained network's answer"
        return f"{self.what}; {asked} becomes what was put there in {self.follows:.0%} of the rows{leans}"

    @property
    def numbers(self) -> dict[str, float]:
        """The shift, the share that agrees, and that which follows."""
        known = {"follows": self.follows, "leans": self.leans, "held_out": self.held_out}
        return {"shift": self.shift, "share": self.share, **{k: v for k, v in known.items() if v is not None}}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That a copy solves the task."""
        return (Statement(self.why, self.at, "copied", self.numbers, FAULT),) if self.solved else ()


def ask(recorded: Recorded) -> Copied:
    """Look for the target in the input. Raises NotApplicable where it is not there."""
    tape = recorded.tape
    number, task = main_program(tape), Task.read(tape)
    if task.target is None or task.output is None:
        raise NotApplicable("the target of each row is not known")
    passes = [p for p in tape.passes if p.program == number][:BATCHES]
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    for found in _in_sequences(tape, task, passes):
        known = _asked(recorded, task, found, passes[-1])
        if known is not None and known.solved:
            return replace(known, held_out=held_out(recorded))
    column = _in_columns(tape, task, [p for p in tape.passes if p.program == number])
    if column is None:
        raise NotApplicable("the target is not found in the input")
    site = task.loss.site if task.loss is not None else None
    return replace(column, at=site, held_out=held_out(recorded))


# -- sequences --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Match:
    slot: int
    axis: int
    shift: int
    share: float


def _in_sequences(tape: Tape, task: Task, passes: list[Pass]) -> Iterator[_Match]:
    """Where an input holds the target at the same or a later position; nowhere if another input holds it too."""
    program = tape.programs[passes[0].program]
    read = {r.slot for c in program.calls if c is not task.loss for r in c.refs() if isinstance(r, Outside)}
    matches = [m for slot in sorted(read) for axis in (1, 0, 2) for m in _match(tape, task, passes, slot, axis)]
    if len({tuple(p.outside[m.slot] for p in passes) for m in matches}) == 1:
        yield from matches


def _match(tape: Tape, task: Task, passes: list[Pass], slot: int, axis: int) -> list[_Match]:
    found = []
    for shift in range(SHIFTS + 1):
        shares = [_share(tape, task, p, slot, axis, shift) for p in passes]
        known = [s for s in shares if s is not None]
        if known and len(known) == len(shares):
            found.append(_Match(slot, axis, shift, sum(known) / len(known)))
    # A sequence that agrees with itself shifted (mostly padding, or constant) says nothing.
    alike = [m for m in found if m.share >= ALIKE]
    return [m for m in alike if m.share >= SAME] if len(alike) == 1 else []


def _share(tape: Tape, task: Task, p: Pass, slot: int, axis: int, shift: int) -> float | None:
    """Share of the counted positions at which the target is the input `shift` further on; None where shapes differ."""
    wanted = task.wanted(lambda s: tape.tensors[p.outside[s]])
    given = sequence(tape.tensors[p.outside[slot]], axis)
    laid = laid_beside(wanted, given, axis == 0) if given is not None else None
    if given is None or laid is None or given.is_floating_point() != wanted.is_floating_point():
        return None
    if not given.is_floating_point() and len(given.unique()) < KINDS:
        return None
    reach = min(laid.shape[1], given.shape[1] - shift)
    one, other = laid[:, :reach], given[:, shift : shift + reach]
    counts = one != task.ignored if not one.is_floating_point() else ~one.isnan()
    same = torch.isclose(one, other, rtol=1e-4, atol=1e-6) if one.is_floating_point() else one == other
    return float(same[counts].double().mean()) if reach > 1 and bool(counts.any()) else None


def sequence(given: Tensor, axis: int) -> Tensor | None:
    """(N, L) tokens or (N, L, F) numbers, from a tensor whose positions lie along an axis; None where it is no such.

    Tokens may be given as one-hot vectors.
    """
    if given.dim() not in (2, 3) or axis >= given.dim() or (given.is_floating_point() and given.dim() == 2):
        return None
    turned = given.movedim(axis, 1)
    if turned.is_floating_point() and turned.shape[-1] >= KINDS and bool(((turned == 0) | (turned == 1)).all()):
        return turned.argmax(-1) if bool((turned.sum(-1) == 1).all()) else turned
    return turned


def laid_beside(wanted: Tensor, given: Tensor, first: bool) -> Tensor | None:
    """The target as (N, L) or (N, L, F) beside a sequence. `first`: its positions lie along the first axis."""
    rest = tuple(given.shape[2:])
    length, over = divmod(wanted.numel(), given.shape[0] * prod(rest))
    if over or not 2 <= length <= given.shape[1] or given.shape[1] - length > SHIFTS:
        return None
    if first:
        return wanted.reshape(length, given.shape[0], *rest).movedim(0, 1)
    across = (
        rest
        and wanted.dim() == 3
        and wanted.shape == (given.shape[0], *rest, length) != (*given.shape[:1], length, *rest)
    )
    return wanted.movedim(2, 1) if across else wanted.reshape(given.shape[0], length, *rest)


def _asked(recorded: Recorded, task: Task, match: _Match, p: Pass) -> Copied | None:
    """What the trained network does with the input that is its target; None where it does not depend on it."""
    step = recorded.step_of(p)
    trained = last_weights(recorded, step)
    probe = _Probe(task, step.with_(weights=trained) if trained is not None else step, match)
    if probe.before is None:
        return None
    length = probe.before.shape[1]
    asked = [probe.exchange(place) for place in sorted({length // 4, length // 2, (3 * length) // 4})]
    if not any(a.sees for a in asked):
        return None
    follows, leans = _mean(a.follows for a in asked), _mean(a.leans for a in asked)
    future = any(a.future for a in asked)
    site = probe.first_sight() if future else None
    loss = task.loss.site if task.loss is not None else None
    known = trained is not None
    return Copied(
        "same" if match.shift == 0 else "later", match.slot, match.share, match.shift, -1,
        follows if known else None, leans if known else None, future, any(a.memory for a in asked), site or loss,
    )  # fmt: skip


def _mean(shares: Iterable[float | None]) -> float | None:
    known = [s for s in shares if s is not None]
    return sum(known) / len(known) if known else None


class _Answer(NamedTuple):
    """What exchanging the input of one position did."""

    sees: bool
    """The output whose answer stood there depends on it."""
    future: bool
    """So do outputs before that position."""
    memory: bool
    """So do outputs behind it."""
    follows: float | None
    leans: float | None


@dataclass(frozen=True)
class _Probe:
    """A step whose input is exchanged position by position."""

    task: Task
    step: Step
    match: _Match

    @cached_property
    def before(self) -> Tensor | None:
        """(N, L, C) outputs, or (N, L, F, 1), as recorded."""
        return self._outputs(self.step)

    @property
    def given(self) -> Tensor:
        """The input that holds the target."""
        return self.step.outside[self.match.slot]

    def _outputs(self, step: Step) -> Tensor | None:
        assert self.task.target is not None and self.task.output is not None
        target, given = step.outside[self.task.target], sequence(self.given, self.match.axis)
        outs = answers(self.task, step.values({self.task.output}), target)
        order = torch.arange(target.numel(), device=target.device).reshape(target.shape)
        laid = laid_beside(order, given, self.match.axis == 0) if given is not None else None
        return outs[laid.reshape(-1)].reshape(*laid.shape, -1) if outs is not None and laid is not None else None

    def _exchanged(self, at: int) -> Tensor:
        """The input with what stands at one position taken from another row (of one row, from another position)."""
        turned = self.given.clone()
        place = turned.movedim(self.match.axis, 1)
        one = place.shape[0] == 1
        place[:, at] = place[:, (at + place.shape[1] // 2) % place.shape[1]] if one else place[:, at].roll(1, 0)
        return turned

    def exchange(self, place: int) -> _Answer:
        """Ask again with another input where the answer of a position stands."""
        at, turned = place + self.match.shift, self._exchanged(place + self.match.shift)
        after, before = self._outputs(self.step.given(self.match.slot, turned)), self.before
        assert after is not None and before is not None
        change = (after - before).abs().transpose(0, 1).flatten(1).amax(1)
        least = SEEN * float(change.max())
        future, memory = (bool((part > least).any()) and least > 0 for part in (change[:at], change[at + 1 :]))
        follows, leans = self._follow(before[:, place], after[:, place], at, turned)
        return _Answer(least > 0 and bool(change[place] > least), future, memory, follows, leans)

    def _follow(self, before: Tensor, after: Tensor, at: int, turned: Tensor) -> tuple[float | None, float | None]:
        """Share of the rows in which the answer became what was put there; and of those in which it leans to it."""
        old, new = (s[:, at] for t in (self.given, turned) if (s := sequence(t, self.match.axis)) is not None)
        if self.task.kind == "classes" and not old.is_floating_point():
            moved = (old != new).nonzero().flatten()
            if not len(moved) or before.shape[-1] <= int(torch.stack([old, new]).max()):
                return None, None
            change = (after - before)[moved]
            rise = change.gather(1, new[moved, None]) - change.gather(1, old[moved, None])
            follows = (after.argmax(-1) == new)[moved]
            return float(follows.double().mean()), float((rise > 0).double().mean())
        asked, answered = (new - old).reshape(-1), (after - before).reshape(-1)
        if asked.numel() != answered.numel() or not float(asked.square().sum()) > 0:
            return None, None
        # The slope of the answer's change in that of the input: 1 for a copy, 0 for what does not depend on it.
        slope = float((asked * answered).sum() / asked.square().sum())
        return min(1.0, max(0.0, slope)), float((asked * answered > 0).double().mean())

    def first_sight(self) -> Site | None:
        """The line of the first call in which a position changes with a later one's input."""
        axis, shape = self.match.axis, self.given.shape
        at = shape[axis] - 1
        one, other = self.step.values(), self.step.given(self.match.slot, self._exchanged(at)).values()
        for call in self.step.program.calls:
            for out in call.outs:
                a, b = one[out], other[out]
                if not a.is_floating_point() or a.dim() <= axis or a.shape[axis] != shape[axis]:
                    continue
                change = (a - b).abs().movedim(axis, 0).flatten(1).amax(1)
                if float(change[:at].max()) > SEEN * float(change.max()) > 0:
                    return call.site
        return None


# -- columns ----------------------------------------------------------------------------------------------------------


def _in_columns(tape: Tape, task: Task, passes: list[Pass]) -> Copied | None:
    """A column of a table that is the target in another unit or coding."""
    wanted = [task.wanted(lambda s, p=p: tape.tensors[p.outside[s]]) for p in passes]
    if any(t.numel() != t.shape[0] for t in wanted if t.dim()) or not all(t.dim() for t in wanted):
        return None
    target = torch.cat([t.reshape(-1) for t in wanted]).double()
    for slot in range(len(passes[0].outside)):
        tables = [tape.tensors[p.outside[slot]] for p in passes]
        fits = all(t.dim() == 2 and t.shape[1] > 1 and len(t) == w.numel() for t, w in zip(tables, wanted, strict=True))
        if slot in task.slots or not fits or len(target) < ROWS or len({t.shape[1] for t in tables}) > 1:
            continue
        table = torch.cat(tables).double()
        column = _line(table, target) if task.kind == "regression" else _coding(table, target)
        if column is not None:
            return Copied("column", slot, 1.0, column=column)
    return None


def _line(table: Tensor, target: Tensor) -> int | None:
    """The column of which the target is a straight line."""
    known = torch.isfinite(target)
    x, y = table[known] - table[known].mean(0), target[known] - target[known].mean()
    if len(y) < ROWS or not float(y.square().sum()) > 0:
        return None
    correlation = (x * y[:, None]).sum(0) / (x.square().sum(0) * y.square().sum()).sqrt()
    best = int(correlation.nan_to_num(0.0).square().argmax())
    return best if float(correlation[best].square()) >= 1 - LINE else None


def _coding(table: Tensor, target: Tensor) -> int | None:
    """The column whose values are the classes under other names."""
    classes = target.unique()
    for column in range(table.shape[1]):
        values, place = table[:, column].unique(return_inverse=True)
        if len(values) != len(classes) or len(classes) < 2:
            continue
        pairs = torch.stack([place.double(), target], 1).unique(dim=0)
        if len(pairs) == len(classes) and len(target) >= ROWS:
            return column
    return None


# -- held out ---------------------------------------------------------------------------------------------------------


def held_out(recorded: Recorded) -> float | None:
    """The skill of the trained network in the script's own last evaluation; where its targets are not known, the share
    of answers that its last comparison finds equal; None where it makes none."""
    with suppress(NotApplicable):
        return FinalEvaluation.read(recorded.tape).skill
    with suppress(*REFUSED):
        return _compared(recorded.tape)
    return None


def _compared(tape: Tape) -> float | None:
    last = [e for e in tape.evaluations if e.after == len(tape.passes)]
    shares = []
    for evaluation in last:
        program = tape.programs[evaluation.program]
        compared = [c for c in program.calls if c.name == "eq" and len(c.refs()) == 2]
        if not compared or program.missing:
            continue
        names = program.weights()
        if any(f"f:{name}" not in tape.tensors for name in names):
            continue
        weights = {name: tape.tensors[f"f:{name}"] for name in names}
        outside = tuple(tape.tensors[k] for k in evaluation.outside)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            values = run(program, weights, outside, {}, Way(), [compared[-1].outs[0]])
        shares.append(float(values[compared[-1].outs[0]].double().mean()))
    return sum(shares) / len(shares) if shares else None


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
follows = torch.randperm(20)
tunes = [torch.randint(0, 20, (400,))]
for _ in range(11):
    played = torch.where(torch.rand(400) < 0.2, torch.randint(0, 20, (400,)), follows[tunes[-1]])
    tunes.append(played)
tunes = torch.stack(tunes, 1)
train, test = tunes[:320], tunes[320:]


class Player(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 24)
        self.rnn = nn.GRU(24, 48, batch_first=True)
        self.head = nn.Linear(48, 20)

    def forward(self, notes):
        states, _ = self.rnn(self.embedding(notes))
        return self.head(states)


model = Player()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(12):
    for rows in torch.randperm(320).split(40):
        notes = train[rows]
        optimizer.zero_grad()
        scores = model(notes{given})
        loss = nn.functional.cross_entropy(scores.reshape(-1, 20), notes{wanted}.reshape(-1))
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
with torch.no_grad():
    guesses = model(test[:, :-1]).argmax(-1)
    print("accuracy of the next note", (guesses == test[:, 1:]).float().mean().item())
"""

FIRES = _SCRIPT.format(given="", wanted="")
QUIET = _SCRIPT.format(given="[:, :-1]", wanted="[:, 1:]")
