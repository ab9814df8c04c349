"""The last of several fits as a tape of its own: experiments begin where it begins, not with the fit before it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from unstuck.signals.remembered import remembered
from unstuck.signals.task import last_fit
from unstuck.tape.model import Pass, Tape, Update
from unstuck.tape.program import Program, Weight


def alone(tape: Tape) -> Tape:
    """The last fit (a student after its teacher, a new head on a trained network), with its passes and steps only.

    What an earlier fit trained and this one only reads has its values of the end. The tape itself where it holds one
    fit, or where the last one goes on with weights that an earlier one trained: theirs between the fits are not known.
    """
    return remembered(tape, alone, lambda: _alone(tape))


def before(tape: Tape) -> Tape | None:
    """The fit before the last one as a tape of its own (the encoder that a probe reads, the teacher of a student); None
    where there is one fit."""
    return remembered(tape, before, lambda: _before(tape))


def _before(tape: Tape) -> Tape | None:
    start = _place(tape, last_fit(tape))
    if not start:
        return None
    first = tape.passes[:start]
    earlier = msgspec.structs.replace(
        tape, programs=_kept(tape, {p.program for p in first}), passes=first,
        updates=tuple(u for u in tape.updates if u.after <= start), losses=tape.losses[:start], late_at=(), late=(),
        late_every=1, said=(), evaluations=(),
    )  # fmt: skip
    return alone(earlier)


def _alone(tape: Tape) -> Tape:
    passes = last_fit(tape)
    start = _place(tape, passes)
    if not start:
        return tape
    before, after = _read(tape, tape.passes[:start]), _read(tape, tape.passes[start:])
    again = before.keys() & after.keys()
    if any(after[name] or f"f:{name}" not in tape.tensors for name in again):
        return tape
    ended = {f"w:{name}": tape.tensors[f"f:{name}"] for name in again}
    asked = tuple(msgspec.structs.replace(e, after=e.after - start) for e in tape.evaluations if e.after >= start)
    return msgspec.structs.replace(
        tape, programs=_kept(tape, {p.program for p in (*tape.passes[start:], *asked)}), passes=tape.passes[start:],
        updates=tuple(_later(tape.updates, start)), losses=tape.losses[start:], late_at=(), late=(), late_every=1,
        said=(), evaluations=asked, tensors={**tape.tensors, **ended},
    )  # fmt: skip


def _place(tape: Tape, passes: tuple[Pass, ...]) -> int:
    """How many passes come before these."""
    return next((n for n, p in enumerate(tape.passes) if passes and p is passes[0]), 0)


def _kept(tape: Tape, ran: set[int]) -> tuple[Program, ...]:
    """The programs in their places; those that did not run are empty."""
    return tuple(p if n in ran else Program((), -1, 0) for n, p in enumerate(tape.programs))


def _later(updates: Iterable[Update], start: int) -> Iterable[Update]:
    return (msgspec.structs.replace(u, after=u.after - start) for u in updates if u.after > start)


def _read(tape: Tape, passes: Iterable[Pass]) -> dict[str, bool]:
    """The weights that the passes read, and whether any call that passes a gradient on reads them."""
    found: dict[str, bool] = {}
    for number in {p.program for p in passes}:
        for call in tape.programs[number].calls:
            for ref in call.refs():
                if isinstance(ref, Weight):
                    found[ref.name] = found.get(ref.name, False) or call.grad
    return found
