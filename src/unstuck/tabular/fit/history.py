"""Checkpoints of a training, from which an interrupted one continues to the same weights.

Only the trainings of the stages are saved, after every epoch; everything else is recomputed deterministically.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unstuck.tabular.fit.train import Training

Array = np.ndarray
PAUSE = 2.0
"""Minimum seconds between two checkpoints of one stage."""


class History:
    """A history that saves nothing."""

    def note(self, key: str, now: Training) -> None:
        """Record a stage's state after an epoch."""

    def recall(self, key: str) -> dict[str, Array] | None:
        """The recorded state; None if there is none."""
        return None

    def elsewhere(self) -> History:
        """A history that another process can use."""
        return self

    def joined(self, other: History) -> None:
        """Take over what a history of another process recorded."""


@dataclass
class Checkpoint(History):
    """One safetensors file per stage in a folder, each written under a temporary name and renamed: after a kill the
    file is either the old or the new one. `mark` identifies the data and the options; other checkpoints are
    rejected."""

    folder: Path
    mark: str
    pause: float = PAUSE
    _last: dict[str, float] = field(default_factory=dict)

    def note(self, key: str, now: Training) -> None:
        """Write the state, if the last checkpoint is old enough or the training has ended."""
        from safetensors.numpy import save_file

        due = time.monotonic() - self._last.get(key, -1e9) >= self.pause
        if not due and now.curve[-1].number < now.curve[-1].of:
            return
        self._last[key] = time.monotonic()
        beside = self._file(key).with_suffix(".new")
        save_file({k: np.ascontiguousarray(v) for k, v in now.state().items()}, beside, {"mark": self.mark})
        beside.replace(self._file(key))

    def recall(self, key: str) -> dict[str, Array] | None:
        """The saved state, if any. Raises ValueError if it belongs to another training."""
        from safetensors import safe_open

        if not self._file(key).exists():
            return None
        with safe_open(self._file(key), framework="numpy") as file:
            if (file.metadata() or {}).get("mark") != self.mark:
                raise ValueError(f"{self.folder} is a checkpoint of other data or other options")
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"
