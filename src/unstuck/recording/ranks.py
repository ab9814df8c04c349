"""Several processes of one run: which of them this one is, the folder where they meet, and the step at which they stop.

The processes meet in a folder. Nothing of ours goes through the person's process group: a collective call of ours
would be counted among theirs, and one that is missing on another rank makes all of them wait for ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LAUNCHERS = (
    ("RANK", "WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)
"""Where launchers tell a process its rank and the number of ranks: torchrun, Open MPI, MPICH, srun."""
RUN = (
    "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT", "PMIX_NAMESPACE",
    "SLURM_JOB_ID", "SLURM_STEP_ID",
)  # fmt: skip
"""What the ranks of one launch, and no others, have in common."""
PER_RANK = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_", "ROLE_", "MASTER_", "TORCHELASTIC_")
"""How the names of variables begin that torchrun sets for one process."""
MARGIN = 2
"""Optimizer steps from the announcement to the stop. Ranks that average their gradients cannot be further apart than
one: the next backward of the others waits for the one that announces."""
LATE = 60.0
"""Seconds that the others may take to their end, after this one has ended, until they are left out."""
LINGER = 900.0
"""Seconds that a failed rank waits for the report: its end makes the launcher kill the rank that writes it."""
POLL = 0.02


@dataclass(frozen=True)
class Launch:
    """This process is one of several that a launcher started with the same command."""

    rank: int
    world: int
    folder: Path
    """Where the ranks of this machine meet."""

    @property
    def restarted(self) -> bool:
        """Whether the launcher starts all ranks again if one of them ends with another exit code than 0."""
        most, so_far = (os.environ.get(f"TORCHELASTIC_{name}", "0") for name in ("MAX_RESTARTS", "RESTART_COUNT"))
        return most.isdigit() and so_far.isdigit() and int(so_far) < int(most)

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Around all that the reporting rank does: the others may rely on it as long as it lives."""
        _clear(self.folder)
        (self.folder / "reporter").write_text(str(os.getpid()), encoding="utf-8")
        try:
            yield
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def await_report(self) -> None:
        """Wait until the reporting rank is done."""
        until, reporter = time.monotonic() + LINGER, _number(self.folder / "reporter")
        while time.monotonic() < until and alive(reporter):
            time.sleep(POLL)


def place(environment: Mapping[str, str] = os.environ) -> tuple[int, int] | None:
    """The rank that a launcher gave this process, and the number of ranks; None where it is alone."""
    for names in LAUNCHERS:
        rank, world = (environment.get(name, "") for name in names)
        if rank.isdigit() and world.isdigit():
            return (int(rank), int(world)) if int(world) > 1 else None
    return None


def launched(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """This process's place in a launch of several; None where it is alone, or the ranks have nowhere to meet."""
    given = place(environment)
    folder = _meeting_place(environment) if given is not None else None
    return None if given is None or folder is None else Launch(*given, folder)


def alone(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment without what a launcher told this one process."""
    return {name: value for name, value in environment.items() if not name.startswith(PER_RANK)}


class Meeting:
    """The folder where the processes of a run leave their tapes, each in a folder named by its process number."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stop: int | None = None

    def join(self, what: str) -> Path:
        """Say that this process takes part, and what it runs; the folder for its tape."""
        mine = self.folder / str(os.getpid())
        mine.mkdir(parents=True, exist_ok=True)
        (mine / "what.json").write_text(json.dumps(what), encoding="utf-8")
        return mine / "tape"

    def mark(self, word: str) -> None:
        """Say of this process that it is "training", or a "daemon": one that Python ends with its parent."""
        mine = self.folder / str(os.getpid())
        if mine.exists():
            (mine / word).touch()

    def leave(self) -> None:
        """Say that this process's tape is there, or will not come."""
        self.mark("ended")

    def others(self) -> list[Path]:
        """The folders of all other processes that take part."""
        mine = str(os.getpid())
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted((f for f in found if f.name.isdigit() and f.name != mine), key=lambda f: int(f.name))

    def gathered(self, seconds: float = LATE) -> list[Path]:
        """The same, once each of them (but daemons) has left its tape or is gone, or after so many seconds."""
        until = time.monotonic() + seconds
        while any(self.running(f) and not (f / "daemon").exists() for f in self.others()) and time.monotonic() < until:
            time.sleep(POLL)
        return self.others()

    @staticmethod
    def running(folder: Path) -> bool:
        """Whether the process of a folder is still at work."""
        return not (folder / "ended").exists() and alive(int(folder.name))

    # -- the step at which all of them stop --------------------------------------------------------------------------

    def stop(self) -> int | None:
        """The optimizer step at which all stop; None as long as nobody has announced one."""
        if self._stop is None:
            self._stop = _number(self.folder / "stop") or None
        return self._stop

    def announce(self, step: int) -> None:
        """All are to stop at this step, unless another one is announced already."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f"stop.{os.getpid()}"
        draft.write_text(str(step), encoding="utf-8")
        with contextlib.suppress(FileExistsError):
            os.link(draft, self.folder / "stop")  # whole or not at all, and the first one stays
        draft.unlink()


def alive(process: int) -> bool:
    """Whether there is a process of that number."""
    if process <= 0:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return not _zombie(process)


def _zombie(process: int) -> bool:
    # A child that has ended stays in the table of processes until its parent looks.
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[:1] == ["Z"]


def _number(file: Path) -> int:
    try:
        return int(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


def _meeting_place(environment: Mapping[str, str]) -> Path | None:
    """A folder of this user's alone, whose name the ranks of one launch agree on without asking each other."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    run = [environment.get(name, "") for name in RUN]
    name = hashlib.sha256("\0".join(run).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"unstuck-{user}-{name}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    return folder if folder.is_dir() and not folder.is_symlink() and found.st_uid == user else None


def _clear(folder: Path) -> None:
    """Remove what an earlier run has left that was killed."""
    for old in folder.iterdir():
        if old.name.isdigit() and not alive(int(old.name)):
            shutil.rmtree(old, ignore_errors=True)
        elif old.name == "stop":
            old.unlink(missing_ok=True)
