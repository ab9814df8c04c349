"""Lanes asked about the rows of the script's own last evaluation, after the last step of the whole course.

A network that knows its training rows by heart shows nothing on them: what counts is its skill on other rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Remedy
from unstuck.headroom.rows import Recorded, Rows
from unstuck.remedies.treatment import Trial
from unstuck.replay.bench import Bench
from unstuck.replay.run import course_of
from unstuck.signals.samples import Samples
from unstuck.tape.model import Pass

MOST = 16
"""Batches that are asked about, at most: a share over some hundred rows is known to a few per cent."""
LONG = 3.0
"""Times a replay's seconds after which one is stopped: it is a whole course, and questions after it."""


@dataclass(frozen=True)
class Exam:
    """Questions for the lanes of a bench, in the batch size of the training."""

    bench: Bench
    questions: tuple[Pass, ...]
    tensors: dict[str, Tensor]

    @classmethod
    def of(cls, bench: Bench) -> Exam:
        """Raises NotApplicable where no evaluation asks about enough rows that were not trained on."""
        held = Recorded.read(bench.tape).held
        if held is None:
            raise NotApplicable("the last evaluation has too few rows that were not trained on")
        samples = Samples.read(bench.tape)
        if samples.task.target is None:
            raise NotApplicable("the target of each row is not known")
        slots = (samples.slot, *samples.beside, samples.task.target)
        example = next(p for p in bench.course.passes if p.program == bench.main)
        forms = tuple(bench.tape.tensors[example.outside[slot]] for slot in slots)
        tensors = {
            f"exam:{n}:{s}": t for n, row in enumerate(_batches(held, forms)) for s, t in zip(slots, row, strict=True)
        }
        numbers = sorted({int(key.split(":")[1]) for key in tensors})
        return cls(bench, tuple(_question(example, n, slots) for n in numbers), tensors)

    @property
    def steps(self) -> int:
        """Steps of the course."""
        return len(self.bench.course.passes)

    def skills(self, remedies: tuple[Remedy, ...] = ()) -> tuple[float, ...]:
        """The skill of each lane on the questions. Raises CannotApply, CannotReplay or NotApplicable."""
        trial = self._asked(self.bench.treated(remedies))
        course = course_of(trial.tape, trial.tape.passes, self.bench.main, self.bench.yardstick, self.bench.task)
        result = self.bench.trained(trial, course, LONG)
        if result.stopped or not result.rows:
            raise NotApplicable("the whole course could not be replayed in time")
        yard = self.bench.yardstick
        return tuple(yard.skill(yard.score(torch.stack(result.rows[-len(self.questions) :]).sum(0))).tolist())

    def _asked(self, trial: Trial) -> Trial:
        """The trial with the questions behind its last step."""
        passes = (*trial.tape.passes[: self.steps], *self.questions)
        updates = tuple(u for u in trial.tape.updates if u.after <= self.steps)
        tensors = {**trial.tape.tensors, **self.tensors}
        return trial.with_(tape=msgspec.structs.replace(trial.tape, passes=passes, updates=updates, tensors=tensors))


def _batches(held: Rows, forms: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
    """Rows and targets in batches of the size, the shapes and the types of an example; the last is filled up."""
    size = len(forms[0])
    order = torch.arange(min(MOST, -(-len(held) // size)) * size) % len(held)
    return [_like(held.of(rows), forms) for rows in order.split(size)]


def _like(rows: Rows, forms: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    columns = (*(part.values for part in rows.parts), rows.targets)
    if any(column.numel() != form.numel() for column, form in zip(columns, forms, strict=True)):
        raise NotApplicable("the evaluation has rows of another form than the training")
    return tuple(c.reshape(f.shape).to(f.dtype) for c, f in zip(columns, forms, strict=True))


def _question(example: Pass, number: int, slots: tuple[int, ...]) -> Pass:
    outside = tuple(f"exam:{number}:{s}" if s in slots else key for s, key in enumerate(example.outside))
    return msgspec.structs.replace(example, outside=outside, loss=0.0)
