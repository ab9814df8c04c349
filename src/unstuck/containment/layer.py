"""A layer of files over the person's: what is written goes into a folder of ours, what is read comes from it first.

For `/home/me/x` the layer holds `FOLDER/files/home/me/x`; a file that was removed, or a folder that was made anew, is
marked by `FOLDER/gone/home/me/x#`. Several processes may use one layer.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress

KERNELS = ("/proc/", "/sys/", "/dev/")
SHARED = "/dev/shm/"
MARK = "#"


class Layer:
    """Translates paths. `folder` must exist before the first write."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._files, self._gone = os.path.join(folder, "files"), os.path.join(folder, "gone")
        self._system = System()
        self._folders: dict[str, str] = {}
        """Folders without links on the way, by the names that were asked for."""
        self._touched = False

    def outside(self, path: str) -> bool:
        """Whether a path is none of the person's files: ours already, or the kernel's."""
        ours = os.path.dirname(self.folder)
        if path == ours or path.startswith(ours + "/"):
            return True
        return (path + "/").startswith(KERNELS) and not (path + "/").startswith(SHARED)

    def read(self, path: str, follow: bool = True) -> str:
        """Where to read what the path names."""
        if self._untouched():
            return path
        place = self._place(path, follow)
        return place if self.outside(place) else self._seen(place)

    def write(self, path: str, follow: bool = True, empty: bool = False, exclusive: bool = False) -> str:
        """Where to write to the file of that path; it is there as it was, unless it will be emptied anyway."""
        place = self._place(path, follow)
        if self.outside(place):
            return place
        seen = self._seen(place)
        there = self._system.lexists(seen)
        if not self._may(seen, place) or (there and exclusive):
            return seen
        upper = self._files + place
        if seen != upper:
            self._parents(place)
            if there:
                self._copy_up(seen, upper, empty)
        return upper

    def _untouched(self) -> bool:
        self._touched = self._touched or any(map(self._system.lexists, (self._files, self._gone)))
        return not self._touched

    def forget(self, path: str) -> None:
        """Mark the person's file or folder of that path, and all in it, as removed."""
        self._folders.clear()
        place = self._place(path, False)
        if not self.outside(place) and self._system.lexists(place):
            self._system.makedirs(os.path.dirname(self._gone + place))
            with self._system.open(self._gone + place + MARK, "wb"):
                pass

    def put(self, path: str, content: bytes) -> None:
        """Write a file, whatever its mode is."""
        place = self._place(path, True)
        self._parents(place)
        with self._system.open(self._files + place, "wb") as file:
            file.write(content)

    def names(self, path: str) -> list[str]:
        """The names in a folder. Raises OSError as os.listdir does."""
        place = self._place(path, True)
        upper = self._files + place
        if self.outside(place) or not (self._folder(upper) or self._folder(self._gone + place)):
            return self._system.listdir(self.read(path))
        own = self._system.listdir(upper) if self._folder(upper) else []
        below = [] if self._hidden(place) else self._system.listdir(place) if self._folder(place) else []
        return own + [n for n in below if n not in own and not self._marked(os.path.join(place, n))]

    def changed(self, path: str) -> bool:
        """Whether the names in a folder may differ from the person's."""
        if self._untouched():
            return False
        place = self._place(path, True)
        return not self.outside(place) and (self._folder(self._files + place) or self._folder(self._gone + place))

    def shown(self, path: str) -> str:
        """The name that the person knows a path of the layer by."""
        if not path.startswith(self._files):
            return path
        return path[len(self._files) :] or "/" if (path + "/").startswith(self._files + "/") else path

    def _place(self, path: str, follow: bool) -> str:
        """The absolute path without links on the way; links of the layer lead to the person's names too."""
        if not path.startswith("/"):
            path = os.path.join(self.shown(self._system.getcwd()), path)
        folder, name = os.path.split(self.shown(path))
        if name in ("", ".", ".."):
            return self._resolved(path, follow)
        if folder not in self._folders:
            self._folders[folder] = self._resolved(folder, True)
        place = os.path.join(self._folders[folder], name)
        return self._resolved(place, True) if follow and self._link(place) is not None else place

    def _resolved(self, path: str, follow: bool) -> str:
        done, left, hops = "/", [p for p in reversed(path.split("/")) if p not in ("", ".")], 0
        while left:
            name = left.pop()
            if name == "..":
                done = os.path.dirname(done)
                continue
            one = os.path.join(done, name)
            target = self._link(one) if (left or follow) and hops < 40 else None
            if target is None:
                done = one
                continue
            hops += 1
            done = "/" if target.startswith("/") else done
            left += [p for p in reversed(self.shown(target).split("/")) if p not in ("", ".")]
        return done

    def _link(self, path: str) -> str | None:
        if path.startswith("/proc/") or self.outside(path):
            return None
        with suppress(OSError):
            return self._system.readlink(self._seen(path))
        return None

    def _seen(self, place: str) -> str:
        upper = self._files + place
        return upper if self._hidden(place) or self._system.lexists(upper) else place

    def _hidden(self, place: str) -> bool:
        """Whether it, or a folder it is in, was removed."""
        if not self._system.lexists(self._gone):
            return False
        while place != "/":
            if self._marked(place):
                return True
            place = os.path.dirname(place)
        return False

    def _marked(self, place: str) -> bool:
        return self._system.lexists(self._gone + place + MARK)

    def _may(self, seen: str, place: str) -> bool:
        """Whether the person may write there, and the folder that is to hold it exists."""
        if self._system.lexists(seen):
            return self._system.access(seen, os.W_OK) or stat.S_ISLNK(self._system.lstat(seen).st_mode)
        parent = self._seen(os.path.dirname(place))
        return self._folder(parent) and self._system.access(parent, os.W_OK | os.X_OK)

    def _parents(self, place: str) -> None:
        self._system.makedirs(os.path.dirname(self._files + place))

    def _folder(self, path: str) -> bool:
        with suppress(OSError):
            return stat.S_ISDIR(self._system.lstat(path).st_mode)
        return False

    def _copy_up(self, lower: str, upper: str, empty: bool) -> None:
        mode = self._system.lstat(lower).st_mode
        if stat.S_ISLNK(mode):
            self._system.symlink(self._system.readlink(lower), upper)
        elif stat.S_ISDIR(mode):
            self._system.mkdir(upper)
        elif stat.S_ISREG(mode):
            with self._system.open(upper, "wb") as to:
                if not empty:
                    with self._system.open(lower, "rb") as source:
                        shutil.copyfileobj(source, to, 1 << 20)

    def moved(self) -> None:
        """Links may have changed."""
        self._folders.clear()

    def whole(self, path: str) -> str:
        """A folder with all that is in it, in the layer; for renames."""
        upper = self.write(path, follow=False)
        if self._folder(upper):
            for name in self.names(path):
                self.whole(os.path.join(path, name))
        return upper


class System:
    """The functions of the system as they were before anything was redirected."""

    def __init__(self) -> None:
        import io

        self.open, self.listdir, self.lstat, self.access = io.open, os.listdir, os.lstat, os.access
        self.readlink, self.symlink, self.mkdir, self.getcwd = os.readlink, os.symlink, os.mkdir, os.getcwd

    def lexists(self, path: str) -> bool:
        """Whether there is anything of that name."""
        with suppress(OSError, ValueError):
            self.lstat(path)
            return True
        return False

    def makedirs(self, path: str) -> None:
        """Make a folder and those above it."""
        missing = list(self._missing(path))
        for folder in reversed(missing):
            with suppress(FileExistsError):
                self.mkdir(folder)

    def _missing(self, path: str) -> Iterator[str]:
        while not self.lexists(path):
            yield path
            path = os.path.dirname(path)
