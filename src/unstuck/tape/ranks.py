"""One tape of several that processes left which trained together.

Under data parallelism each rank takes a share of every batch, and all take the same step down the mean of their
gradients. Where the loss is a mean over rows that is one step on the rows of all ranks, so the merged tape holds one
program, the joined rows and the mean loss. Whether it is so is tried with the recorded weights and rows; where it is
not, the tape of the first rank stands for all.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import msgspec
import torch
from torch import Tensor

from unstuck.tape.interpreter import run
from unstuck.tape.joined import CannotJoin, Joined
from unstuck.tape.model import Facts, Pass, Ranks, Tape
from unstuck.tape.program import Program

EXACT = 1e-3
"""The loss of the joined rows is the mean of the ranks' losses if it differs by less than this share: rounding."""
BATCH_NORM = 0.1
"""The same where batch norm took its statistics from each rank's rows alone."""
MOST = 8
"""Tapes that are joined at most; each holds a copy of its rows."""
SEEN = 5
"""Steps from which on ranks with the same rows are no accident."""


def merged(own: Tape, others: Sequence[Tape], stopped: bool = False) -> Tape:
    """One tape for all. `own` is of the process that was run, `others` of those that it started, or of other ranks;
    `stopped`: they were asked to stop, so that an error which one of them met afterwards is no fault of the script."""
    trained = [t for t in (own, *others) if t.losses]
    if not trained:
        return own
    ranks = sorted(_ranked(trained), key=lambda t: _rank(t))
    alone = own.losses and own.facts.rank is None
    base = own if alone else ranks[0] if ranks else max(trained, key=lambda t: t.steps)
    together = ranks if any(t is base for t in ranks) else [base]
    joint, notes = _joint(together) if len(together) > 1 else (base, [])
    left = len(trained) - len(together)
    notes += [f"not examined: {_more(left)} that trained, each for itself"] if left else []
    return _told(joint, base, own, trained, stopped, notes)


def _ranked(tapes: Sequence[Tape]) -> Iterator[Tape]:
    """One tape of each rank."""
    yield from {t.facts.rank.rank: t for t in reversed(tapes) if t.facts.rank is not None}.values()


def _more(count: int) -> str:
    return "1 more process" if count == 1 else f"{count} more processes"


def _rank(tape: Tape) -> int:
    return tape.facts.rank.rank if tape.facts.rank is not None else 0


def _told(joint: Tape, base: Tape, own: Tape, trained: Sequence[Tape], stopped: bool, notes: list[str]) -> Tape:
    """The joint tape as the tape of the command that was run."""
    first = min((t for t in trained if t.error and t.facts.ended), key=lambda t: t.facts.ended, default=None)
    failed = first if first is not None and not stopped else None
    end, error = ("budget", None) if stopped else (base.stopped, base.error)
    if failed is not None and failed is not base:
        end, error = f"{failed.stopped} (rank {_rank(failed)})" if failed.facts.rank else failed.stopped, failed.error
    same = own.folder == base.folder
    return msgspec.structs.replace(
        joint, stopped=end, error=error, script=base.script if base.script in base.sources or not same else own.script,
        sources={**own.sources, **joint.sources} if same else joint.sources,
        notes=tuple(dict.fromkeys((*own.notes, *base.notes))),
        facts=msgspec.structs.replace(
            joint.facts, command=own.facts.command, processes=(*notes, *joint.facts.processes)
        ),
    )  # fmt: skip


def _joint(ranks: Sequence[Tape]) -> tuple[Tape, list[str]]:
    """The tapes of all ranks as one, and what is to be said of them."""
    base, world = ranks[0], ranks[0].facts.rank.world if ranks[0].facts.rank else len(ranks)
    seen = f"{len(ranks)} of {world} ranks were recorded"
    chosen = ranks[:MOST]
    try:
        tape, notes = _merged_passes(chosen)
    except CannotJoin as reason:
        return _counted(base, world, 1, len(ranks)), [f"{seen}; rank {_rank(base)} stands for all: {reason}"]
    if all(p.outside == q.outside for p, q in zip(tape.passes, base.passes, strict=False)):
        return _counted(tape, world, 1, len(ranks)), [seen, *notes]
    joined = f"{seen}; each batch on the tape holds the rows of {len(chosen)} ranks"
    return _counted(tape, world, len(chosen), len(ranks)), [joined, *notes]


def _counted(tape: Tape, world: int, joined: int, local: int) -> Tape:
    facts: Facts = msgspec.structs.replace(tape.facts, ranks=Ranks(world, joined, local))
    return msgspec.structs.replace(tape, facts=facts)


def _merged_passes(ranks: Sequence[Tape]) -> tuple[Tape, list[str]]:
    _check(ranks)
    base, count = ranks[0], min(len(t.passes) for t in ranks)
    rows = tuple(zip(*(t.passes[:count] for t in ranks), strict=True))
    joined = Joined(ranks)
    outside = [joined.outside(same) for same in rows]
    programs, notes = list(base.programs), _same_rows(joined, rows)
    for number in {p.program for p in base.passes[:count]}:
        at = next(i for i, p in enumerate(base.passes[:count]) if p.program == number)
        programs[number] = _checked(ranks, rows[at], [joined.tensor(k) for k in outside[at]])
    passes = tuple(
        msgspec.structs.replace(same[0], outside=keys, loss=_mean(same), output=joined.output(same))
        for same, keys in zip(rows, outside, strict=True)
    )
    tape = msgspec.structs.replace(
        base, passes=passes, programs=tuple(programs), losses=_losses(ranks), tensors={**base.tensors, **joined.made},
        updates=tuple(u for u in base.updates if u.after <= count),
        evaluations=tuple(e for e in base.evaluations if e.after <= count),
    )  # fmt: skip
    return tape, [*notes, *_diverged(ranks)]


def _check(ranks: Sequence[Tape]) -> None:
    base = ranks[0]
    if sharded := next((t.facts.sharded for t in ranks if t.facts.sharded), ""):
        raise CannotJoin(f"each holds a part of the weights ({sharded})")
    if any([p.name for p in t.parameters] != [p.name for p in base.parameters] for t in ranks):
        raise CannotJoin("the ranks train different weights")
    if any(not _equal(base, t, "w:", 0.0) for t in ranks[1:]):
        raise CannotJoin("the ranks begin with different weights")
    if not all(t.passes for t in ranks):
        raise CannotJoin("a rank made no step")


def _equal(one: Tape, other: Tape, kind: str, share: float) -> bool:
    names = [f"{kind}{p.name}" for p in one.parameters if p.trainable]
    pairs = ((one.tensors.get(name), other.tensors.get(name)) for name in names)
    return all(a is None or b is None or _close(a, b, share) for a, b in pairs)


def _close(a: Tensor, b: Tensor, share: float) -> bool:
    if a.shape != b.shape:
        return False
    return torch.equal(a, b) if not share else bool((a - b).norm() <= share * a.norm())


def _diverged(ranks: Sequence[Tape]) -> list[str]:
    """Ranks that made as many steps must end with the same weights."""
    base = ranks[0]
    apart = [t for t in ranks[1:] if t.steps == base.steps and not _equal(base, t, "f:", EXACT)]
    if not apart:
        return []
    return [f"ranks {_rank(base)} and {_rank(apart[0])} end with different weights: their gradients are not averaged"]


def _same_rows(joined: Joined, rows: Sequence[tuple[Pass, ...]]) -> list[str]:
    alike = sum(joined.alike(same) for same in rows)
    if alike < len(rows) or alike < SEEN:
        return []
    return [f"all ranks had the same rows in each of {alike} steps; give every rank its own share (DistributedSampler)"]


def _mean(same: Sequence[Pass]) -> float:
    return sum(p.loss for p in same) / len(same)


def _losses(ranks: Sequence[Tape]) -> tuple[float, ...]:
    if len({(len(t.losses), t.late_every, len(t.passes)) for t in ranks}) > 1:
        return ranks[0].losses
    return tuple(sum(losses) / len(losses) for losses in zip(*(t.losses for t in ranks), strict=True))


def _checked(ranks: Sequence[Tape], same: Sequence[Pass], rows: Sequence[Tensor]) -> Program:
    """The program of a step with the shapes that it has on the joined rows. Raises CannotJoin where it is not the
    ranks' step: its loss is not their mean loss."""
    base, program = ranks[0], ranks[0].programs[same[0].program]
    weights = {p.name: base.tensors[f"w:{p.name}"] for p in base.parameters}
    certain = _without_chance(program)
    loss = functools.partial(_run, certain, weights)
    try:
        apart = [loss([t.tensors[k] for k in p.outside])[program.loss] for t, p in zip(ranks, same, strict=True)]
    except Exception:  # then nothing of it will be replayed; its rows can be read all the same
        return program
    try:
        values = loss(rows)
    except Exception as error:
        raise CannotJoin(f"its step cannot take the rows of all ({(str(error).splitlines() or [''])[0]})") from None
    wanted = float(torch.stack([a.detach().double().sum() for a in apart]).mean())
    if abs(float(values[program.loss].detach().double().sum()) - wanted) > _allowed(certain) * max(abs(wanted), EXACT):
        raise CannotJoin("the loss of all rows is not the mean of the ranks' losses")
    shape = lambda c: tuple(values[c.outs[0]].shape) if c.outs and c.outs[0] in values else c.shape
    calls = tuple(msgspec.structs.replace(c, shape=shape(c)) for c in program.calls)
    return msgspec.structs.replace(program, calls=calls)


def _allowed(program: Program) -> float:
    return BATCH_NORM if any(c.name == "batch_norm" for c in program.calls) else EXACT


def _run(program: Program, weights: dict[str, Tensor], outside: Sequence[Tensor]) -> dict[int, Tensor]:
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        return run(program, weights, tuple(outside), {})


def _without_chance(program: Program) -> Program:
    """Without dropout, whose masks are others in every run."""
    for call in program.calls:
        if call.op.stochastic and call.refs() and call.outs and call.outs[0] != program.loss:
            program = program.without(call)
    return program
