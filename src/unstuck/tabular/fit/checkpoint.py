"""The checkpoint folder of `unstuck fit`: open it, check that it belongs to this training, remove it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from unstuck import __version__
from unstuck.tabular.fit import history
from unstuck.tabular.fit.history import Checkpoint, History
from unstuck.tabular.fit.loading import Loaded
from unstuck.tabular.fit.refusal import CannotFit
from unstuck.tabular.fit.train import Epoch, Training

Array = np.ndarray
OURS = ("*.safetensors", "*.new")


@dataclass
class Curves(History):
    """Records the loss curves and forwards to a checkpoint; `told` is called if the checkpoint cannot be written."""

    kept: Checkpoint | None = None
    told: Callable[[str], None] = lambda line: None
    curves: dict[str, list[Epoch]] = field(default_factory=dict)

    def note(self, key: str, now: Training) -> None:
        """Record the epoch; if the disk is full, training continues without a checkpoint."""
        self.curves[key] = list(now.curve)
        if self.kept is None:
            return
        try:
            self.kept.note(key, now)
        except Exception as error:  # safetensors raises its own errors for a full disk
            where, self.kept = self.kept.folder, None
            for part in where.glob("*.new"):
                part.unlink(missing_ok=True)
            self.told(f"{where}: cannot write the checkpoint ({_why(error)}); training continues without it")

    def recall(self, key: str) -> dict[str, Array] | None:
        """The saved state of a stage, including its curve."""
        state = None if self.kept is None else self.kept.recall(key)
        if state is not None:
            self.curves[key] = [Epoch(int(a), int(b), float(c), float(d)) for a, b, c, d in state["curve"]]
        return state

    def elsewhere(self) -> History:
        """With the same checkpoint; what it says about a full disk is not heard."""
        kept = None if self.kept is None else replace(self.kept, folder=self.kept.folder.resolve())
        return Curves(kept)

    def joined(self, other: History) -> None:
        """Take over the curves."""
        if isinstance(other, Curves):
            self.curves |= other.curves


def opened(folder: Path, mark: str, resume: bool) -> Checkpoint:
    """Open the folder for checkpoints. Raises CannotFit if it holds another training, or one and `resume` is off."""
    notes = _notes(folder)
    others = [path.name for path in folder.iterdir() if path not in notes] if folder.is_dir() else []
    if others or (folder.exists() and not folder.is_dir()):
        raise CannotFit(f"{folder} is not a checkpoint: it contains other files")
    if notes and not resume:
        raise CannotFit(f"{folder} holds an interrupted training: pass --resume to continue it, or remove the folder")
    for path in notes:
        if path.suffix == ".safetensors" and _mark(path) != mark:
            raise CannotFit(f"{folder} is a checkpoint of other data, other options or another version")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise CannotFit(f"{folder} cannot be created: {error.strerror}") from None
    return Checkpoint(folder, mark, history.PAUSE)


def _notes(folder: Path) -> list[Path]:
    return [path for pattern in OURS for path in folder.glob(pattern)] if folder.is_dir() else []


def _mark(path: Path) -> str | None:
    from safetensors import safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get("mark")
    except Exception as error:
        raise CannotFit(f"{path} is corrupt ({_why(error)}): remove it") from None


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]


def removed(folder: Path) -> None:
    """Delete the checkpoints, and the folder if it is then empty."""
    with suppress(OSError):
        for path in _notes(folder):
            path.unlink(missing_ok=True)
        folder.rmdir()


def mark_of(*parts: object, loaded: Loaded | None = None) -> str:
    """A hash of the data and all options."""
    found = hashlib.blake2b(repr((__version__, *parts)).encode(), digest_size=16)
    if loaded is not None:
        _add(found, loaded)
    return found.hexdigest()


def _add(found: hashlib.blake2b, loaded: Loaded) -> None:
    arrays = [loaded.frame.numbers, *loaded.targets, *([] if loaded.weights is None else [loaded.weights])]
    for one in (*arrays, *loaded.frame.words):
        if isinstance(one, np.ndarray) and one.dtype != object:
            found.update(repr((one.dtype.str, one.shape)).encode())
            found.update(np.ascontiguousarray(one).data)
        else:
            found.update("\0".join("\1" if word is None else word for word in one).encode("utf-8", "surrogatepass"))
