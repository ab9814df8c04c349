"""An experiment: the network as written, trained on one half of the recorded rows and asked about the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from unstuck.replay.redrawing import Redrawn
from unstuck.tape.model import Tape


@dataclass(frozen=True)
class Halves:
    """Skill on the rows it was trained on and on the others, median over lanes; 0 is the best constant answer."""

    seen: float
    unseen: float

    @classmethod
    def read(cls, tape: Tape) -> Halves:
        """Equal rows fall into the same half."""
        all_rows = Redrawn.read(tape)
        contents = int(all_rows.group.max()) + 1
        order = torch.randperm(contents, generator=all_rows.generator)
        first = torch.zeros(contents, dtype=torch.bool)
        first[order[: contents // 2]] = True
        ours, others = (half.nonzero().flatten() for half in (first[all_rows.group], ~first[all_rows.group]))
        seen, unseen = all_rows.learnt(
            lambda p: all_rows.batch(p, all_rows.drawn(all_rows.size(p), ours)),
            all_rows.asked(ours),
            all_rows.asked(others),
        )
        return cls(seen, unseen)
