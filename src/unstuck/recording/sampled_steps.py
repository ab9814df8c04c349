"""The steps after the tape is full: all are counted, and one in so many is watched and leaves its batch."""

from __future__ import annotations

import math

import msgspec
from torch import Tensor

from unstuck.recording.budget import Budget
from unstuck.recording.full_steps import Opened, gradient_norms
from unstuck.recording.observed import Observed
from unstuck.recording.sampling import CHUNK, Sampling
from unstuck.recording.slicing import needed
from unstuck.tape.model import Pass


class SampledSteps:
    """`open` before a backward that is watched and `close` after it; `pace` now and then after an optimizer's step."""

    def __init__(self, observed: Observed, budget: Budget) -> None:
        self._observed, self._budget = observed, budget
        self.sampling = Sampling()
        observed.forwards.blind = observed.exits.blind = True

    def open(self, loss: Tensor) -> Opened | None:
        """Before a watched backward: its loss, and its batch where that is wanted; None where it is not."""
        observed, sampling = self._observed, self.sampling
        sampling.watching = True  # also where no optimizer's hooks say when a step is over
        self.fold()
        sampling.note(loss)
        wanted = sampling.batches.wants() and not observed.programs.full
        if not observed.optimizers.stepped:  # then the tracer is never taken away between steps: it is made quiet
            observed.optimizers.steps += 1
            next_wanted = sampling.batches.due + wanted * sampling.batches.every
            observed.tracer.quiet = sampling.batches.seen + 1 < next_wanted
        if not wanted:
            sampling.add(None)
            return None
        entries = needed(observed.tracer.entries, loss)
        number, outside = observed.programs.cut(entries, loss)
        made = observed.programs.made(number, entries, outside)
        keys = sampling.keep((*outside, *([] if made is None else [made])))
        slots = len(outside)
        step = Pass(number, keys[:slots], math.nan, output="".join(keys[slots:]))
        return Opened(loss, observed.programs.weights(number), step, sampled=True)

    def close(self, opened: Opened, loss: float) -> None:
        """After the backward."""
        assert opened.step is not None
        whole = "" not in opened.step.outside
        norms = gradient_norms(opened, self._observed.optimizers.norms)
        self.sampling.add(msgspec.structs.replace(opened.step, loss=loss, gradient=norms) if whole else None)

    def fold(self) -> None:
        """Count the steps since the last look."""
        self._observed.optimizers.steps += self.sampling.fold(self._observed.optimizers.steps)

    def pace(self) -> None:
        """Decide whether to watch the next step, and when to look again."""
        self.fold()
        sampling = self.sampling
        sampling.watching = sampling.batches.wants()
        sampling.due = sampling.batches.due - sampling.batches.seen
        alone = self._observed.rank is None  # ranks stop together: each looks at every step
        chunk = CHUNK if alone and not sampling.watching else 1
        sampling.left = min(chunk, self._budget.left(self._observed.optimizers.steps))
        sampling.deadline = self._budget.deadline(self._observed.optimizers.steps, bool(self._observed.forwards.kept))
