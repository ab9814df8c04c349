"""Python's writes, redirected into a layer: what opens, makes, renames and removes files in this process.

The kernel denies what is missed here. Functions of other packages are those that open a file by its name themselves,
in C++, C or Rust.
"""

from __future__ import annotations

import builtins
import errno
import functools
import importlib
import io
import os
import posix
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from unstuck.containment.layer import Layer

Function = Callable[..., Any]
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FOREIGN = (
    ("torch._C", "PyTorchFileReader", 0, "read"), ("torch._C", "PyTorchFileWriter", 0, "empty"),
    ("torch", "from_file", 0, "write"), ("torch", "UntypedStorage.from_file", 0, "write"),
    ("safetensors", "safe_open", 0, "read"), ("safetensors", "serialize_file", 1, "empty"),
    ("safetensors.torch", "safe_open", 0, "read"), ("safetensors.torch", "serialize_file", 1, "empty"),
    ("safetensors.numpy", "safe_open", 0, "read"), ("safetensors.numpy", "serialize_file", 1, "empty"),
    ("sqlite3", "connect", 0, "database"), ("sqlite3.dbapi2", "connect", 0, "database"),
)  # fmt: skip
"""Module, function, the place of the file's name among its arguments, and what is done with the file."""
EARLY = ("sqlite3", "safetensors.torch", "multiprocessing.util")
"""Modules that are imported here, so that nobody has a function of theirs from before it was redirected."""
BESIDE = ("-journal", "-wal", "-shm")
"""Files that SQLite keeps beside a database."""


def install(layer: Layer) -> None:
    """Redirect everything that is imported. Call it again after imports: what is redirected already is left alone."""
    redirect = Redirect(layer)
    if not hasattr(os.open, "_unstuck"):
        shutil._use_fd_functions = False  # type: ignore[attr-defined]
        redirect.system()
    redirect.foreign()


class Redirect:
    """Wrappers around functions, for one layer."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def system(self) -> None:
        """Redirect what Python itself offers."""
        for module, name in ((builtins, "open"), (io, "open"), (sys.modules["_io"], "open")):
            setattr(module, name, self._opening(io_open))
        for module in (io, sys.modules["_io"]):
            module.open_code = self._path(io_open_code, self._reading)  # type: ignore[attr-defined]
        made: dict[str, Function] = {
            "open": self._os_open, "stat": self._stat, "listdir": self._listdir, "scandir": self._scandir,
            "rename": self._rename, "replace": self._rename, "unlink": self._unlink, "remove": self._unlink,
            "rmdir": self._rmdir, "chdir": self._chdir, "getcwd": self._getcwd, "truncate": self._truncate,
            "symlink": self._second, "link": self._link,
        }  # fmt: skip
        for name in ("lstat", "readlink"):
            made[name] = lambda old: self._path(old, lambda p: self.layer.read(p, follow=False))
        made["access"] = lambda old: self._path(old, self._reading)
        for name in ("mkdir", "mkfifo", "chmod", "chown", "lchown", "utime", "setxattr", "removexattr"):
            made[name] = lambda old: self._path(old, self._writing)
        for name, wrap in made.items():
            new = wrap(getattr(os, name))
            for module in (os, posix):
                if hasattr(module, name):
                    setattr(module, name, new)
        self._sockets()

    def foreign(self) -> None:
        """Redirect what other packages offer; torch only where it is imported already."""
        for module in EARLY if "torch" in sys.modules else ():
            with suppress(ImportError):
                importlib.import_module(module)
        for module, path, at, does in FOREIGN:
            *within, name = path.split(".")
            home = functools.reduce(lambda o, n: getattr(o, n, None), within, sys.modules.get(module))
            old = getattr(home, name, None)
            if home is not None and old is not None and not hasattr(old, "_unstuck"):
                new = self._at(old, at, does)
                setattr(home, name, staticmethod(new) if within else new)
        self._spawning()

    # --- translating one path

    def _reading(self, path: str) -> str:
        return self.layer.read(path)

    def _writing(self, path: str) -> str:
        return self.layer.write(path)

    def _to(self, given: Any, translate: Callable[[str], str]) -> Any:
        """The given path, or its place in the layer."""
        if isinstance(given, int):
            return given
        path = os.fsdecode(given)
        place = translate(path) if path else path
        if not place.startswith(self.layer.folder):
            return given
        return os.fsencode(place) if isinstance(given, bytes) else place

    def _wrapped(self, old: Function, new: Function) -> Function:
        """A function that reports paths as the person knows them."""

        @functools.wraps(old, updated=())
        def redirected(*args: Any, **kwargs: Any) -> Any:
            try:
                return new(*args, **kwargs)
            except OSError as error:
                for name in ("filename", "filename2"):
                    if isinstance(found := getattr(error, name, None), str):
                        setattr(error, name, self.layer.shown(found))
                raise

        redirected._unstuck = True  # type: ignore[attr-defined]
        return redirected

    def _path(self, old: Function, translate: Callable[[str], str]) -> Function:
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            if kwargs.get("dir_fd") is None:
                path = self._to(path, translate)
            return old(path, *args, **kwargs)

        return self._wrapped(old, call)

    # --- functions with more to them

    def _opening(self, old: Function) -> Function:
        def call(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            return old(self._to(file, lambda p: self._opened(p, mode)), mode, *args, **kwargs)

        return self._wrapped(old, call)

    def _opened(self, path: str, mode: str) -> str:
        if not set(mode) & set("wax+"):
            return self.layer.read(path)
        return self.layer.write(path, empty="w" in mode, exclusive="x" in mode)

    def _os_open(self, old: Function) -> Function:
        def call(path: Any, flags: int, *args: Any, **kwargs: Any) -> Any:
            def translate(p: str) -> str:
                if not flags & WRITING:
                    return self.layer.read(p)
                return self.layer.write(p, empty=bool(flags & os.O_TRUNC), exclusive=bool(flags & os.O_EXCL))

            if kwargs.get("dir_fd") is None:
                path = self._to(path, translate)
            return old(path, flags, *args, **kwargs)

        return self._wrapped(old, call)

    def _stat(self, old: Function) -> Function:
        def call(path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> Any:
            if dir_fd is None:
                path = self._to(path, lambda p: self.layer.read(p, follow_symlinks))
            return old(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)

        return self._wrapped(old, call)

    def _listdir(self, old: Function) -> Function:
        def call(path: Any = ".") -> Any:
            if isinstance(path, int) or path is None or not self.layer.changed(os.fsdecode(path)):
                return old(path)
            names = self.layer.names(os.fsdecode(path))
            return [os.fsencode(n) for n in names] if isinstance(path, bytes) else names

        return self._wrapped(old, call)

    def _scandir(self, old: Function) -> Function:
        def call(path: Any = ".") -> Any:
            if isinstance(path, int) or path is None or not self.layer.changed(os.fsdecode(path)):
                return old(path)
            return Entries(os.fspath(path), self.layer.names(os.fsdecode(path)))

        return self._wrapped(old, call)

    def _rename(self, old: Function) -> Function:
        def call(source: Any, target: Any, **kwargs: Any) -> None:
            if any(v is not None for v in kwargs.values()):
                return old(source, target, **kwargs)
            one, other = os.fsdecode(source), os.fsdecode(target)
            there = self.layer.read(other, follow=False)
            full = os.path.isdir(there) and self.layer.names(other)
            if full and os.path.isdir(one):
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), one, None, other)
            old(self.layer.whole(one), self.layer.write(other, follow=False, empty=True))
            if os.path.isdir(other):
                self.layer.forget(other)  # what the person has there does not shine through
            return self.layer.forget(one)

        return self._wrapped(old, call)

    def _unlink(self, old: Function) -> Function:
        def call(path: Any, *, dir_fd: int | None = None) -> None:
            if dir_fd is not None:
                return old(path, dir_fd=dir_fd)
            old(self._to(path, lambda p: self.layer.write(p, follow=False, empty=True)))
            return self.layer.forget(os.fsdecode(path))

        return self._wrapped(old, call)

    def _rmdir(self, old: Function) -> Function:
        def call(path: Any, *, dir_fd: int | None = None) -> None:
            if dir_fd is not None:
                return old(path, dir_fd=dir_fd)
            if os.path.isdir(path) and self.layer.names(os.fsdecode(path)):
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
            old(self._to(path, lambda p: self.layer.write(p, follow=False)))
            return self.layer.forget(os.fsdecode(path))

        return self._wrapped(old, call)

    def _chdir(self, old: Function) -> Function:
        def call(path: Any) -> None:
            if isinstance(path, int):
                return old(path)
            place = self.layer.read(os.fsdecode(path))
            below = self.layer.shown(place)
            with suppress(FileNotFoundError):  # relative names in C are then the person's
                return old(below)
            return old(place)

        return self._wrapped(old, call)

    def _getcwd(self, old: Function) -> Function:
        return self._wrapped(old, lambda: self.layer.shown(old()))

    def _truncate(self, old: Function) -> Function:
        def call(path: Any, length: int) -> None:
            if isinstance(path, int):
                return old(path, length)
            with open(path, "r+b") as file:  # the call itself may be filtered
                file.truncate(length)
            return None

        return self._wrapped(old, call)

    def _second(self, old: Function) -> Function:
        def call(source: Any, target: Any, *args: Any, **kwargs: Any) -> None:
            if kwargs.get("dir_fd") is None:
                target = self._to(target, lambda p: self.layer.write(p, follow=False))
            self.layer.moved()
            return old(source, target, *args, **kwargs)

        return self._wrapped(old, call)

    def _link(self, old: Function) -> Function:
        def call(source: Any, target: Any, **kwargs: Any) -> None:
            place = self._to(target, lambda p: self.layer.write(p, follow=False))
            return old(self._to(source, lambda p: self.layer.write(p, follow=False)), place, **kwargs)

        return self._wrapped(old, call)

    def _at(self, old: Function, at: int, does: str) -> Function:
        """A function with a file's name among its arguments."""
        translate = {"read": self._reading, "write": self._writing, "database": self._database}.get(
            does, lambda p: self.layer.write(p, empty=True)
        )

        def call(*args: Any, **kwargs: Any) -> Any:
            if len(args) > at and isinstance(args[at], str | bytes | os.PathLike):
                args = (*args[:at], self._to(args[at], translate), *args[at + 1 :])
            elif "filename" in kwargs:
                kwargs["filename"] = self._to(kwargs["filename"], translate)
            elif "database" in kwargs:
                kwargs["database"] = self._to(kwargs["database"], translate)
            return old(*args, **kwargs)

        return self._wrapped(old, call)

    def _database(self, path: str) -> str:
        if path.startswith((":", "file:")):
            return path
        for end in BESIDE:
            if os.path.exists(path + end):
                self.layer.write(path + end)
        return self.layer.write(path)

    def _sockets(self) -> None:
        import socket

        def at(name: str, translate: Callable[[str], str]) -> Function:
            old = getattr(socket.socket, name)

            def call(sock: Any, address: Any) -> Any:
                named = isinstance(address, str) and address and not address.startswith("\0")
                return old(sock, self._to(address, translate) if named else address)

            return self._wrapped(old, call)

        socket.socket.bind = at("bind", lambda p: self.layer.write(p, exclusive=True))  # type: ignore[method-assign]
        socket.socket.connect = at("connect", self._connected)  # type: ignore[method-assign]

    def _connected(self, path: str) -> str:
        place = self.layer.read(path)
        if not place.startswith(self.layer.folder):
            raise PermissionError(errno.EACCES, "contained: this socket leads out", path)
        return place

    def _spawning(self) -> None:
        """New interpreters of multiprocessing begin by redirecting."""
        util = sys.modules.get("multiprocessing.util")
        old = getattr(util, "spawnv_passfds", None)
        if util is None or old is None or hasattr(old, "_unstuck"):
            return
        home = str(Path(__file__).parents[2])
        first = (
            f"import sys; sys.path.insert(0, {home!r}); from unstuck.containment.redirect import install; "
            f"from unstuck.containment.layer import Layer; install(Layer({self.layer.folder!r})); del sys.path[0]; "
        )

        def call(path: Any, args: Any, passfds: Any) -> Any:
            words = list(args)
            at = next((i for i, w in enumerate(words) if w in ("-c", b"-c")), None)
            if at is not None:
                text = words[at + 1]
                words[at + 1] = first.encode() + text if isinstance(text, bytes) else first + text
            return old(path, words, passfds)

        util.spawnv_passfds = self._wrapped(old, call)  # type: ignore[attr-defined]


class Entries:
    """What os.scandir gives, of a folder that is partly in the layer."""

    def __init__(self, folder: Any, names: list[str]) -> None:
        self._left: Iterator[Entry] = iter([Entry(folder, n) for n in names])

    def __iter__(self) -> Entries:
        return self

    def __next__(self) -> Entry:
        return next(self._left)

    def __enter__(self) -> Entries:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """As the iterator of os.scandir has it."""


class Entry:
    """What os.DirEntry offers."""

    def __init__(self, folder: Any, name: str) -> None:
        self.name: Any = os.fsencode(name) if isinstance(folder, bytes) else name
        self.path: Any = os.path.join(folder, self.name)

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """As os.DirEntry has it; so are the others."""
        return os.stat(self.path, follow_symlinks=follow_symlinks)

    def inode(self) -> int:
        return self.stat(follow_symlinks=False).st_ino

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self._is(stat.S_ISDIR, follow_symlinks)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return self._is(stat.S_ISREG, follow_symlinks)

    def is_symlink(self) -> bool:
        return self._is(stat.S_ISLNK, False)

    def is_junction(self) -> bool:
        return False

    def _is(self, kind: Callable[[int], bool], follow: bool) -> bool:
        with suppress(OSError):
            return kind(self.stat(follow_symlinks=follow).st_mode)
        return False


io_open, io_open_code = io.open, io.open_code
