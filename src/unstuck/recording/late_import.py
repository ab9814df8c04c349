"""Something to be done as soon as a module is imported, without importing it: torch's compiler takes seconds to."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any


def on_import(name: str, ready: Callable[[], None]) -> Callable[[], None]:
    """Call `ready` behind the import of a module, or at once where it is imported. Returns what takes that back."""
    if name in sys.modules:
        ready()
        return lambda: None
    finder = _Finder(name, ready)
    sys.meta_path.insert(0, finder)
    return finder.leave


class _Finder:
    """Stands first among the import system's finders until the module is looked for."""

    def __init__(self, name: str, ready: Callable[[], None]) -> None:
        self._name, self._ready = name, ready

    def leave(self) -> None:
        """Be no finder any more."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Leave it to the usual finder, but be told when it is done."""
        if name != self._name:
            return None
        self.leave()
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            _told(spec.loader, self._ready)
        return spec


def _told(loader: Any, ready: Callable[[], None]) -> None:
    original = loader.exec_module

    def exec_module(module: Any) -> None:
        del loader.exec_module
        original(module)
        ready()

    loader.exec_module = exec_module
