"""The rows that were trained on and the rows that were judged by, as recorded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.task import main_program
from unstuck.tape.model import Tape

FEWEST = 16
"""So many rows to judge by are needed."""
MOST = 20_000
"""So many rows of either kind are looked at."""
RICH = 3
"""A row must hold so many different numbers, not all of them whole, for its equal to be no accident."""


@dataclass(frozen=True)
class Overlap:
    """Inputs as they reached the network, (rows, ...); both kinds of one form."""

    trained: Tensor
    judged: Tensor

    @classmethod
    def read(cls, tape: Tape) -> Overlap:
        """The main program's input, and the same input of the forwards that no backward followed."""
        number = main_program(tape)
        passes = [p for p in tape.passes if p.program == number]
        slot, first = _input(tape, passes[0].outside)
        trained = _rows(tape, [p.outside[slot] for p in passes], first)
        judged = _rows(tape, [k for e in tape.evaluations for k in _alike(tape, e.outside, first)], first)
        if judged is None or trained is None or len(judged) < FEWEST:
            raise NotApplicable("no evaluation was recorded whose inputs can be compared with those of the training")
        return cls(trained, judged)

    def spread(self) -> tuple[Tensor, Tensor]:
        """Per feature (one number for pictures): distance of the means in training spreads, ratio of the spreads."""
        axis = (0,) if self.trained.dim() == 2 else tuple(range(self.trained.dim()))
        here, there = self.trained.double(), self.judged.double()
        spread, other = here.std(axis, correction=0), there.std(axis, correction=0)
        live = spread > 0
        shift = (there.mean(axis) - here.mean(axis)).abs() / spread
        return shift[live], (other / spread)[live]

    def shared(self) -> tuple[int, int]:
        """How many rows judged by were trained on too, and how many of them stand among them more than once."""
        trained, judged = set(_keys(self.trained)), _keys(self.judged)
        times = Counter(judged)
        suspect = {key: row for key, row in zip(judged, self.judged, strict=True) if key in trained or times[key] > 1}
        rich = [key for key, row in suspect.items() if _rich(row)]
        return sum(times[key] for key in rich if key in trained), sum(times[key] - 1 for key in rich)


def _input(tape: Tape, outside: tuple[str, ...]) -> tuple[int, Tensor]:
    """The slot of the largest real-valued tensor with rows."""
    found = [(i, tape.tensors[k]) for i, k in enumerate(outside)]
    found = [(i, t) for i, t in found if t.is_floating_point() and t.dim() >= 2]
    if not found:
        raise NotApplicable("no real-valued rows enter the network")
    return max(found, key=lambda pair: pair[1].numel())


def _alike(tape: Tape, outside: tuple[str, ...], first: Tensor) -> list[str]:
    return [k for k in outside if tape.tensors[k].shape[1:] == first.shape[1:] and tape.tensors[k].is_floating_point()][
        :1
    ]


def _rows(tape: Tape, keys: list[str], first: Tensor) -> Tensor | None:
    tensors = [tape.tensors[k] for k in dict.fromkeys(keys)]
    fitting = [t for t in tensors if t.dim() == first.dim() and t.shape[1:] == first.shape[1:] and len(t) > 1]
    live = [t for t in fitting if bool(torch.isfinite(t).all()) and float(t.double().std()) > 0]
    return torch.cat(live)[:MOST] if live else None


def _rich(row: Tensor) -> bool:
    """Whether a row holds enough different numbers, not all of them whole, to be told from any other."""
    return bool((row != row.round()).any()) and len(row.unique()) >= RICH


def _keys(rows: Tensor) -> list[bytes]:
    return [row.tobytes() for row in rows.flatten(1).contiguous().view(torch.uint8).numpy()]
