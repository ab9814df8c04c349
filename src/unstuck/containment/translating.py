"""Functions whose paths are translated into a layer."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from unstuck.containment.layer import Layer

Function = Callable[..., Any]


class Translating:
    """Wrappers around functions, for one layer."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

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
