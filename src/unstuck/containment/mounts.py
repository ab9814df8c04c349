"""A view of all files in which every write lands in scratch: one overlay per mount, and a new root.

A process without rights in the first user namespace may not overlay a folder below which something else is mounted
(`clone_private_mount` in fs/namespace.c: it would uncover what the mount hides). Such a folder is put together entry
by entry: an overlay for each folder, a copy of each small file, a read-only view of each large one.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from unstuck.containment import kernel
from unstuck.containment.upper import begin, mode

BARE = ("/proc", "/sys", "/dev")
"""Folders of the kernel: no overlay of them."""
HIDDEN = frozenset({"autofs", "nsfs", "proc", "sysfs", "bpf", "tracefs", "debugfs", "binfmt_misc", "fusectl"})
"""Mounts elsewhere that are no person's files; looking into `autofs` would mount something."""
SMALL = 1 << 20
"""Files beside a mount are copied up to this size, and shown read-only above it."""
ENTRIES = 2000
"""A folder beside a mount may have this many entries: each costs a mount of its own."""


@dataclass(frozen=True)
class Place:
    """Where the parts of the view are: names are relative to the scratch folder, which is the current one."""

    scratch: str
    root: str = "root"
    layers: str = "layers"
    result: str = "result"
    split: bool = True
    """Whether folders above other mounts must be put together entry by entry."""
    likely: tuple[str, ...] = ()
    """Folders in which the script will probably write."""
    room: int = 1 << 30
    """Bytes for what is written where only memory can hold it, and for /dev/shm."""


def build(place: Place) -> tuple[str, ...]:
    """Make the view, and make it the root of this mount namespace; the mount points that it shows.

    Raises OSError where that is not allowed.
    """
    kernel.mount(None, "/", None, kernel.REC | kernel.PRIVATE)
    os.chdir(place.scratch)
    if not _can_be_upper(place):
        kernel.mount("unstuck", place.layers, "tmpfs", kernel.NODEV, f"size={place.room},mode=700")
    view = View(place, _mounted())
    for path in ("/", *view.mounted):
        view.cover(path)
    _kernel_folders(place)
    kernel.bind(place.result, place.root + place.scratch + "/" + place.result, read_only=False)
    kernel.pivot(place.root)
    return view.mounted


def _can_be_upper(place: Place) -> bool:
    """Whether scratch may take what is written: not every file system can, and none of a network."""
    try:
        _overlay(place, place.scratch, "probe", place.root)
    except OSError:
        return False
    kernel.unmount(place.root)
    return True


@dataclass
class View:
    """The new root, as it grows."""

    place: Place
    mounted: tuple[str, ...]
    """Mount points, those above others first."""
    _count: int = field(default=0)

    def cover(self, path: str) -> None:
        """Show a mount."""
        target = self.place.root + path
        with suppress(FileNotFoundError):
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                return self._file(path, target)
            Path(target).mkdir(parents=True, exist_ok=True)
            if self.place.split and self._above(path):
                kernel.mount("unstuck", target, "tmpfs", kernel.NODEV, "size=64m,mode=700")
                return self._entries(path, target)
            self._folder(path, target)
        return None

    def _above(self, path: str) -> bool:
        start = path.rstrip("/") + "/"
        return any(other.startswith(start) and other != path for other in (*self.mounted, *BARE))

    def _folder(self, path: str, target: str) -> None:
        self._count += 1
        try:
            _overlay(self.place, path, str(self._count), target)
        except OSError:  # a file system that cannot be a lower one: case folding, or two overlays deep
            kernel.bind(path, target)

    def _entries(self, path: str, target: str) -> None:
        with os.scandir(path) as found:
            entries = list(found)
        if len(entries) > ENTRIES:
            raise OSError(0, f"{path} has {len(entries)} entries beside a mount")
        for entry in entries:
            with suppress(PermissionError, FileNotFoundError):
                self._entry(entry, os.path.join(target, entry.name))
        os.chmod(target, mode(path))

    def _entry(self, entry: os.DirEntry[str], target: str) -> None:
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
        elif entry.is_dir():
            os.mkdir(target)
            if entry.path in self.mounted or entry.path in BARE:
                return
            if self._above(entry.path):
                self._entries(entry.path, target)
            else:
                self._folder(entry.path, target)
        elif entry.is_file() and entry.path not in self.mounted:
            self._file(entry.path, target)

    def _file(self, path: str, target: str) -> None:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            return  # a socket or a pipe would lead out
        if found.st_size <= SMALL and not os.path.lexists(target):
            shutil.copy2(path, target)
            return
        with suppress(FileExistsError):
            os.close(os.open(target, os.O_CREAT | os.O_EXCL, 0o600))
        kernel.bind(path, target)


def _overlay(place: Place, path: str, name: str, target: str) -> None:
    upper, work = (os.path.join(place.layers, name, part) for part in ("upper", "work"))
    os.makedirs(upper, exist_ok=True)
    os.makedirs(work, exist_ok=True)
    begin(path, upper, place.likely)
    # Names in the options would have to be free of commas and colons: the lower folder is given by its number.
    lower = os.open(path, os.O_PATH | os.O_DIRECTORY)
    try:
        options = f"lowerdir=/proc/self/fd/{lower},upperdir={upper},workdir={work}"
        more = ("userxattr",) if kernel.in_user_namespace() else ("redirect_dir=on", "metacopy=off")
        _first_that_works(target, options, (",".join((*more, "volatile")), ",".join(more)))
    finally:
        os.close(lower)


def _first_that_works(target: str, options: str, more: Iterable[str]) -> None:
    error: OSError | None = None
    for words in more:
        try:
            return kernel.mount("unstuck", target, "overlay", kernel.NODEV, f"{options},{words}")
        except OSError as reason:
            error = reason
    assert error is not None
    raise error


def _mounted() -> tuple[str, ...]:
    """Points where people's files are mounted, outside the kernel's own folders."""
    points = {path for path, kind in _mountinfo() if kind not in HIDDEN and path != "/"}
    return tuple(sorted(p for p in points if not any(p == bare or p.startswith(bare + "/") for bare in BARE)))


def _mountinfo() -> Iterator[tuple[str, str]]:
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            words, _, rest = line.partition(b" - ")
            yield os.fsdecode(_unescaped(words.split()[4])), rest.split()[0].decode()


def _unescaped(word: bytes) -> bytes:
    for code in (b"\\040", b"\\011", b"\\012", b"\\134"):
        word = word.replace(code, bytes([int(code[1:], 8)]))
    return word


def _kernel_folders(place: Place) -> None:
    root = place.root
    for path in BARE:
        Path(root + path).mkdir(exist_ok=True)
    kernel.mount("proc", root + "/proc", "proc", kernel.NOSUID | kernel.NODEV)
    for path in ("/sys", "/dev"):  # a device can be written to on a read-only mount
        kernel.bind(path, root + path)
    for name in os.scandir("/dev"):
        if stat.S_ISBLK(name.stat(follow_symlinks=False).st_mode) and os.access(name.path, os.W_OK):
            kernel.bind("/dev/null", root + name.path)
    if os.path.isdir("/dev/shm"):
        kernel.mount(
            "unstuck", root + "/dev/shm", "tmpfs", kernel.NODEV | kernel.NOSUID, f"size={place.room},mode=1777"
        )
