"""A target that is the input at the same or a later position of a sequence, and whether the network copies it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from unstuck.diagnosis.model import Site
from unstuck.micro.answers import answers, last_weights
from unstuck.micro.copies import Copied
from unstuck.micro.step import Recorded, Step
from unstuck.signals.task import Task
from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Outside

SHIFTS = 3
"""Positions by which a target is looked for further on: the targets of forecasts and language models are one on."""
SAME = 0.99
"""Share of the counted positions at which target and input agree: the rest may be edges and replaced tokens (a masked
language model leaves 0.85 of its tokens as they are, and counts the others)."""
KINDS = 8
"""Different tokens: with fewer, two sequences agree by chance."""
ALIKE = 0.9
"""Share at which they agree at another shift too: then one token fills most of the sequence."""
SEEN = 0.01
"""Change at other positions, relative to that at the position itself, from which on they depend on it."""


@dataclass(frozen=True)
class Match:
    slot: int
    axis: int
    shift: int
    share: float


def in_sequences(tape: Tape, task: Task, passes: list[Pass]) -> Iterator[Match]:
    """Where an input holds the target at the same or a later position; nowhere if another input holds it too."""
    program = tape.programs[passes[0].program]
    read = {r.slot for c in program.calls if c is not task.loss for r in c.refs() if isinstance(r, Outside)}
    matches = [m for slot in sorted(read) for axis in (1, 0, 2) for m in _match(tape, task, passes, slot, axis)]
    if len({tuple(p.outside[m.slot] for p in passes) for m in matches}) == 1:
        yield from matches


def _match(tape: Tape, task: Task, passes: list[Pass], slot: int, axis: int) -> list[Match]:
    found = []
    for shift in range(SHIFTS + 1):
        shares = [_share(tape, task, p, slot, axis, shift) for p in passes]
        known = [s for s in shares if s is not None]
        if known and len(known) == len(shares):
            found.append(Match(slot, axis, shift, sum(known) / len(known)))
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


def asked(recorded: Recorded, task: Task, match: Match, p: Pass) -> Copied | None:
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
    match: Match

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
        at, length = self._last_told(), self.given.shape[self.match.axis]
        one, other = self.step.values(), self.step.given(self.match.slot, self._exchanged(at)).values()
        for call in self.step.program.calls:
            for out in call.outs:
                a, b = one[out], other[out]
                axis = self._positions(a, length)
                if axis is None:
                    continue
                change = (a - b).abs().movedim(axis, 0).flatten(1).amax(1)
                if float(change[:at].max()) > SEEN * float(change.max()) > 0:
                    return call.site
        return None

    def _positions(self, value: Tensor, length: int) -> int | None:
        """The axis along which the positions of a value lie: that of the input, or the only one as long."""
        long = [n for n, size in enumerate(value.shape) if size == length] if value.is_floating_point() else []
        return self.match.axis if self.match.axis in long else long[0] if len(long) == 1 else None

    def _last_told(self) -> int:
        """The last position at which an exchange changes half of the rows: the ends of padded sequences are alike."""
        places = sequence(self.given, self.match.axis)
        last = self.given.shape[self.match.axis] - 1
        if places is None or places.shape[0] == 1:
            return last
        moved = (places != places.roll(1, 0)).reshape(*places.shape[:2], -1).any(2).double().mean(0) >= 0.5
        return int(moved.nonzero().max()) if bool(moved.any()) else last
