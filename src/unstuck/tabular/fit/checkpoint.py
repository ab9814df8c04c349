"""The folder in which an interrupted training waits, and whether it may be gone on with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
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
    """Remembers how the stages' losses went, whatever else is noted; `told` hears what goes wrong with the notes."""

    kept: Checkpoint | None = None
    told: Callable[[str], None] = lambda line: None
    curves: dict[str, list[Epoch]] = field(default_factory=dict)

    def note(self, key: str, now: Training) -> None:
        """A full disk ends the notes and not the training."""
        self.curves[key] = list(now.curve)
        if self.kept is None:
            return
        try:
            self.kept.note(key, now)
        except Exception as error:  # safetensors has errors of its own for a disk that is full
            where, self.kept = self.kept.folder, None
            for part in where.glob("*.new"):
                part.unlink(missing_ok=True)
            self.told(f"{where} cannot be written any more ({_why(error)}): the training goes on without it")

    def recall(self, key: str) -> dict[str, Array] | None:
        """What is noted of a stage, its curve included."""
        state = None if self.kept is None else self.kept.recall(key)
        if state is not None:
            self.curves[key] = [Epoch(int(a), int(b), float(c), float(d)) for a, b, c, d in state["curve"]]
        return state


def opened(folder: Path, mark: str, resume: bool) -> Checkpoint:
    """The folder, ready for notes. Raises CannotFit where it holds another training, or one that was not asked for."""
    notes = _notes(folder)
    others = [path.name for path in folder.iterdir() if path not in notes] if folder.is_dir() else []
    if others or (folder.exists() and not folder.is_dir()):
        raise CannotFit(f"{folder} is no checkpoint: it holds other files")
    if notes and not resume:
        raise CannotFit(f"{folder} holds an interrupted training: --resume goes on with it; to begin anew, remove it")
    for path in notes:
        if path.suffix == ".safetensors" and _mark(path) != mark:
            raise CannotFit(f"{folder} is the checkpoint of other data, other options or another version")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise CannotFit(f"{folder} cannot be made: {error.strerror}") from None
    return Checkpoint(folder, mark, history.PAUSE)


def _notes(folder: Path) -> list[Path]:
    return [path for pattern in OURS for path in folder.glob(pattern)] if folder.is_dir() else []


def _mark(path: Path) -> str | None:
    from safetensors import safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get("mark")
    except Exception as error:
        raise CannotFit(f"{path} is damaged ({_why(error)}): remove it") from None


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]


def removed(folder: Path) -> None:
    """Take the notes away, and the folder if nothing else is in it."""
    with suppress(OSError):
        for path in _notes(folder):
            path.unlink(missing_ok=True)
        folder.rmdir()


def mark_of(*parts: object, loaded: Loaded | None = None) -> str:
    """A name for the data and everything that was asked for."""
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
