"""Measure the headroom: every learner on rows that it was not trained on, beside the run and shuffled targets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unstuck.diagnosis.experiment import Headroom
from unstuck.diagnosis.model import NotApplicable
from unstuck.diagnosis.skill import enough
from unstuck.headroom.features import Table, table
from unstuck.headroom.folds import FOLDS, Folds, folds
from unstuck.headroom.learners import LEARNERS, Learner, Problem
from unstuck.headroom.rows import Part, Recorded, Rows
from unstuck.signals.yardstick import Yardstick
from unstuck.tape.model import Tape

SECONDS = 10.0
"""CPU time of all learners together, at effort 1."""
DRAWS = 400
"""Bootstrap samples of the rows: the ends of a 95 % interval vary by about a twentieth of its width."""
TAIL, Z = 0.025, 1.96
FAILS = (ImportError, RuntimeError, ValueError, IndexError, TypeError)
"""What a learner may raise on rows that it cannot take: then the others answer."""


@dataclass(frozen=True)
class Question:
    """What is asked: rows to train on with targets, rows to answer for, and the truth there."""

    train: Table
    targets: Tensor
    asked: Table
    truth: Tensor


@dataclass(frozen=True)
class Answers:
    """One learner's answers for all rows that are asked about, in the order of the truth."""

    by: str
    given: Tensor
    score: float


def measured(tape: Tape, score: float | None, seconds: float = SECONDS) -> Headroom:
    """What simple learners reach on the rows of a tape. `score`: the run's own, on each batch before its update.

    Raises NotApplicable where rows or targets are not known, or no learner can take them.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad(), one_thread():
        torch.manual_seed(0)
        return _measured(Recorded.read(tape), score, time.process_time() + seconds)


@contextmanager
def one_thread() -> Iterator[None]:
    """Small tables are learnt faster without a second thread, which may have to wait for its core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _measured(rows: Recorded, score: float | None, until: float) -> Headroom:
    apart = folds(rows.trained) if rows.held is None else None
    questions = list(_questions(rows, apart))
    truth = torch.cat([q.truth for q in questions])
    tried = list(_all_tried(questions, truth, rows, until))
    if not tried:
        raise NotApplicable("no simple learner can take these rows")
    best = max(tried, key=lambda a: a.score)
    own = rows.held.answers if rows.held is not None else None
    run = scored(own, truth, rows.yard) if own is not None else score
    if run is None:
        raise NotApplicable("the run's own score is not known")
    control = _control(best.by, questions, truth, rows, until)
    low, high = interval(best.given, truth, rows.yard)
    gain = _gain(best.given, own, run, truth, rows.yard)
    where = "the rows of its last evaluation" if apart is None else _divided(apart)
    return Headroom(
        rows.yard.name, run, best.score, f"{best.by} on {where}", (low, high), gain, rows.yard.constant, control,
        {a.by: a.score for a in tried}, len(truth), own is not None,
    )  # fmt: skip


def _divided(apart: Folds) -> str:
    by = "" if apart.how == "at random" else f" {apart.how}"
    return f"the recorded rows, {FOLDS}-fold{by}"


def _questions(rows: Recorded, apart: Folds | None) -> Iterator[Question]:
    """The folds of the recorded rows; where there are none, the script's own held-out rows."""
    every = rows.trained
    whole = table(every.parts) if rows.held is None else table(_joined(every, rows.held))
    if rows.held is not None:
        count = len(every)
        yield Question(whole.of(torch.arange(count)), every.targets, whole.of(_after(count, whole)), rows.held.targets)
        return
    for train, asked in apart.pairs if apart is not None else ():
        yield Question(whole.of(train), every.targets[train], whole.of(asked), every.targets[asked])


def _joined(one: Rows, other: Rows) -> tuple[Part, ...]:
    pairs = zip(one.parts, other.parts, strict=True)
    return tuple(replace(a, values=torch.cat([a.values.float(), b.values.float()])) for a, b in pairs)


def _after(count: int, whole: Table) -> Tensor:
    return torch.arange(count, len(whole))


def _all_tried(questions: list[Question], truth: Tensor, rows: Recorded, until: float) -> Iterator[Answers]:
    """The learners, cheapest first, until one knows all there is to know."""
    for by, learner in LEARNERS.items():
        for found in _tried(by, learner, questions, truth, rows, until):
            yield found
            if enough(float(rows.yard.skill(torch.tensor(interval(found.given, truth, rows.yard)[0])))):
                return


def _tried(
    by: str, learner: Learner, questions: list[Question], truth: Tensor, rows: Recorded, until: float
) -> Iterator[Answers]:
    if time.process_time() > until:
        return
    try:
        given = torch.cat([_in_time(learner, q, rows.classified, until) for q in questions])
    except FAILS:
        return
    yield Answers(by, given, scored(given, truth, rows.yard))


def _in_time(learner: Learner, question: Question, classified: bool, until: float) -> Tensor:
    if time.process_time() > until:
        raise ValueError("no time is left")
    return answered(learner, question, classified, until)


def answered(learner: Learner, question: Question, classified: bool, until: float) -> Tensor:
    """A learner's answers to one question, as class numbers or values of the targets."""
    if not classified:
        mean, std = question.targets.mean(), question.targets.std().clamp(min=1e-30)
        scaled = (question.targets - mean) / std
        return learner(Problem(question.train, scaled, question.asked, 0, until)).double() * std + mean
    kinds, number = torch.unique(question.targets, return_inverse=True)
    if len(kinds) < 2:
        return kinds.expand(len(question.truth))
    return kinds[learner(Problem(question.train, number, question.asked, len(kinds), until)).long()]


def _control(by: str, questions: list[Question], truth: Tensor, rows: Recorded, until: float) -> float | None:
    """The score of the same learner where the targets that it trains on are shuffled; None where no time is left."""
    if time.process_time() > until:
        return None
    draw = torch.Generator().manual_seed(3)
    mixed = [replace(q, targets=q.targets[torch.randperm(len(q.targets), generator=draw)]) for q in questions]
    given = torch.cat([answered(LEARNERS[by], q, rows.classified, until) for q in mixed])
    return scored(given, truth, rows.yard)


def scored(given: Tensor, truth: Tensor, yard: Yardstick) -> float:
    """The task's metric of answers."""
    return float(_scores(_parts(given, truth, yard).unsqueeze(0), yard)[0])


def _parts(given: Tensor, truth: Tensor, yard: Yardstick) -> Tensor:
    """(rows, K) what the metric adds up, as `Yardstick.rows` gives it for a batch."""
    if yard.kind == "regression":
        middle = float(yard.mean.mean())
        error = (given.double() - truth.double()).square()
        return torch.stack([torch.nan_to_num(error, nan=float("inf")), (truth.double() - middle).square()], 1)
    classes = max(yard.classes, 1 + int(truth.max()))
    rows = torch.nn.functional.one_hot(truth.long(), classes).double()
    return torch.cat([rows * (given == truth).double().unsqueeze(1), rows], 1)


def _scores(parts: Tensor, yard: Yardstick) -> Tensor:
    """(draws,) of (draws, rows, K)."""
    total = parts.sum(1)
    if yard.kind == "regression":
        return 1 - total[:, 0] / total[:, 1].clamp(min=1e-300)
    hits, count = total.chunk(2, 1)
    if yard.balanced:
        return (hits / count.clamp(min=1)).sum(1) / (count > 0).sum(1).clamp(min=1)
    return hits.sum(1) / count.sum(1).clamp(min=1)


def _drawn(parts: Tensor, yard: Yardstick) -> Tensor:
    """(DRAWS,) scores of bootstrap samples of the rows (Efron 1979), the same rows for every call."""
    draw = torch.Generator().manual_seed(4)
    samples = (torch.randint(len(parts), (len(parts),), generator=draw) for _ in range(DRAWS))
    return torch.cat([_scores(parts[rows].unsqueeze(0), yard) for rows in samples])


def interval(given: Tensor, truth: Tensor, yard: Yardstick) -> tuple[float, float]:
    """The 95 % interval of a score, over other rows of the same kind.

    A bootstrap of a share near 0 or 1 has no width: it is at least that of Wilson (1927).
    """
    low, high = _ends(_drawn(_parts(given, truth, yard), yard))
    if yard.kind == "regression":
        return low, high
    share, rows = scored(given, truth, yard), len(truth)
    middle, size = share + Z**2 / (2 * rows), Z * (share * (1 - share) / rows + (Z / (2 * rows)) ** 2) ** 0.5
    return min(low, (middle - size) / (1 + Z**2 / rows)), max(high, (middle + size) / (1 + Z**2 / rows))


def _gain(
    given: Tensor, own: Tensor | None, run: float, truth: Tensor, yard: Yardstick
) -> tuple[float, float]:  # fmt: skip
    """The 95 % interval of the difference in skill, baseline - run; on the same rows where the run answers them."""
    drawn = yard.skill(_drawn(_parts(given, truth, yard), yard))
    if own is not None:
        return _ends(drawn - yard.skill(_drawn(_parts(own, truth, yard), yard)))
    error = (run * (1 - run) / len(truth)) ** 0.5 if 0 < run < 1 else 0.0
    noise = error * torch.randn(DRAWS, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return _ends(drawn - yard.skill(run + noise))


def _ends(drawn: Tensor) -> tuple[float, float]:
    ends = torch.quantile(drawn.double(), torch.tensor([TAIL, 1 - TAIL], dtype=torch.float64))
    return float(ends[0]), float(ends[1])
