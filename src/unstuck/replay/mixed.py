"""An experiment: the network as written, trained on the recorded rows as they came and in random order."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from unstuck.replay.redrawing import Redrawn
from unstuck.tape.model import Tape


@dataclass(frozen=True)
class Mixed:
    """Skill on rows from everywhere, after training; medians over lanes. The same rows and questions in both."""

    as_written: float
    in_random_order: float

    @classmethod
    def read(cls, tape: Tape) -> Mixed:
        """The rows in random order are drawn with replacement: each about as often as it came."""
        all_rows = Redrawn.read(tape)
        everything = torch.arange(len(all_rows.group))
        asked = all_rows.asked(everything)
        (as_written,) = all_rows.learnt(lambda p: p, asked)
        (mixed,) = all_rows.learnt(lambda p: all_rows.batch(p, all_rows.drawn(all_rows.size(p), everything)), asked)
        return cls(as_written, mixed)
