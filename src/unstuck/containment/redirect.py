"""Python's writes, redirected into a layer: what opens, makes, renames and removes files in this process.

The kernel denies what is missed here.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import posix
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from unstuck.containment import foreign
from unstuck.containment.entries import Entries
from unstuck.containment.layer import Layer
from unstuck.containment.translating import Function, Translating

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def install(layer: Layer) -> None:
    """Redirect everything that is imported. Call it again after imports: what is redirected already is left alone."""
    if not hasattr(os.open, "_unstuck"):
        shutil._use_fd_functions = False  # type: ignore[attr-defined]
        Redirect(layer).system()
    foreign.install(layer)


class Redirect(Translating):
    """Wrappers around the functions of Python itself."""

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

    def _sockets(self) -> None:
        import socket

        def at(name: str, translate: Callable[[str], str]) -> Function:
            old = getattr(socket.socket, name)

            def call(sock: Any, address: Any) -> Any:
                named = isinstance(address, str) and address and not address.startswith("\0")
                return _at_a_short_path(old, sock, self._to(address, translate)) if named else old(sock, address)

            return self._wrapped(old, call)

        socket.socket.bind = at("bind", lambda p: self.layer.write(p, exclusive=True))  # type: ignore[method-assign]
        socket.socket.connect = at("connect", self._connected)  # type: ignore[method-assign]

    def _connected(self, path: str) -> str:
        place = self.layer.read(path)
        if not place.startswith(self.layer.folder):
            raise PermissionError(errno.EACCES, "contained: this socket leads out", path)
        return place


# sizeof(sun_path) of unix(7), with its closing zero byte
SOCKET_PATH = 108


def _at_a_short_path(call: Function, sock: Any, path: str) -> Any:
    """Binds or connects where the folder of the layer makes a path that the script's own fits in too long."""
    if len(os.fsencode(path)) < SOCKET_PATH:
        return call(sock, path)
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
    try:
        return call(sock, f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)


io_open, io_open_code = io.open, io.open_code
