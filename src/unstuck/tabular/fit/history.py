"""Where a training stands, so that an interrupted one goes on to the same weights.

Everything is computed anew in the same way but the trainings of the stages: their state after every epoch is noted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unstuck.tabular.fit.train import Training

Array = np.ndarray
PAUSE = 2.0
"""Seconds between two notes of the same stage."""


class History:
    """Forgets everything: for trainings that nobody continues."""

    def note(self, key: str, now: Training) -> None:
        """Where a stage stands after an epoch."""

    def recall(self, key: str) -> dict[str, Array] | None:
        """Where it stood; None where nothing was noted."""
        return None


@dataclass
class Checkpoint(History):
    """One safetensors file per stage in a folder, each written beside and moved into place: a kill finds either the
    old or the new one. `mark` names the data and the options; notes of another training are refused."""

    folder: Path
    mark: str
    pause: float = PAUSE
    _last: dict[str, float] = field(default_factory=dict)

    def note(self, key: str, now: Training) -> None:
        """Write the state, if the last note is old enough or the training has come to its end."""
        from safetensors.numpy import save_file

        due = time.monotonic() - self._last.get(key, -1e9) >= self.pause
        if not due and now.curve[-1].number < now.curve[-1].of:
            return
        self._last[key] = time.monotonic()
        beside = self._file(key).with_suffix(".new")
        save_file({k: np.ascontiguousarray(v) for k, v in now.state().items()}, beside, {"mark": self.mark})
        beside.replace(self._file(key))

    def recall(self, key: str) -> dict[str, Array] | None:
        """The state, if there is one of this very training. Raises ValueError where it is of another one."""
        from safetensors import safe_open

        if not self._file(key).exists():
            return None
        with safe_open(self._file(key), framework="numpy") as file:
            if (file.metadata() or {}).get("mark") != self.mark:
                raise ValueError(f"{self.folder} is the checkpoint of other data or other options")
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"
