"""Functions of other packages that open a file by its name themselves, in C++, C or Rust, redirected into a layer."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from unstuck.containment.layer import Layer
from unstuck.containment.translating import Function, Translating

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
    """Redirect what is imported and is not redirected yet."""
    Foreign(layer).install()


class Foreign(Translating):
    """Wrappers around functions of other packages."""

    def install(self) -> None:
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
