"""Containment of a rerun: it sees the person's files as they are, and whatever it writes lands in scratch.

Two means, each by the Linux kernel; the first that works is taken:

namespaces   files through an overlay at their own paths, processes, network and shared memory of its own
landlock     every write outside scratch is denied; Python's own writes are redirected into scratch

The environment variable UNSTUCK_CONTAINMENT names the means to try, for tests: `namespaces`, `landlock`,
`namespaces,landlock` (the default) or `none`; with `unprivileged`, root takes the way of other users.

No package of ours is imported here, and none that starts a thread: a process with threads can leave no namespace.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from unstuck.containment import kernel
from unstuck.containment.layer import Layer
from unstuck.containment.mounts import Place
from unstuck.containment.watch import Enter, Limits, watch

MEANS = ("namespaces", "landlock")
RESULT, LAYER = "result", "layer"
"""Folders of scratch: what the contained process hands back, and where Landlock's writes are redirected to."""


@dataclass(frozen=True)
class Terms:
    """What the process that reports asks of the one that contains."""

    scratch: str
    """A folder of its own, of which `result` is handed back."""
    alive: int
    tell: int
    """Pipes, see `watch`."""
    likely: tuple[str, ...] = ()
    """Folders in which the script will probably write."""
    otherwise: bool = False
    """Whether to go on uncontained where nothing works."""


@dataclass(frozen=True)
class Inside:
    """The contained process."""

    means: str
    layer: Layer | None = None

    def put(self, path: str, text: str) -> None:
        """Replace the text of one of the person's files, for this process and its children."""
        content = text.encode("utf-8", "surrogateescape")
        with suppress(OSError):
            if Path(path).read_bytes() == content:
                return None
        if self.layer is not None:
            return self.layer.put(path, content)
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and not os.access(file, os.W_OK):
            file.unlink()
        file.write_bytes(content)
        return None

    def redirect(self) -> None:
        """Redirect writes, where the means leaves that to us; called once more after imports."""
        if self.layer is not None:
            from unstuck.containment import redirect

            redirect.install(self.layer)


def wanted() -> tuple[str, ...]:
    """The means to try on this machine."""
    asked = os.environ.get("UNSTUCK_CONTAINMENT", ",".join(MEANS)).split(",")
    return tuple(m for m in MEANS if m in asked) if kernel.available() else ()


def watched() -> bool:
    """Whether a process here can watch over another, contained or not."""
    return kernel.available()


def contain(terms: Terms) -> Inside:
    """Return in a contained process; the present one watches over it and never returns.

    It must have one thread. Where nothing works and `otherwise` is not set, nothing returns at all.
    """
    from unstuck.containment import landlock, namespaces

    layer = Layer(os.path.join(terms.scratch, LAYER))
    place = Place(terms.scratch, likely=terms.likely, room=Limits.here(terms.scratch).memory // 4)
    writable = (os.path.join(terms.scratch, RESULT), layer.folder)
    known: dict[str, Enter] = {
        "namespaces": lambda told: namespaces.enter(place, told),
        "landlock": lambda _: landlock.enter(writable),
    }
    for name in (RESULT, LAYER, place.layers, place.root):
        Path(terms.scratch, name).mkdir(exist_ok=True)
    means = watch({m: known[m] for m in wanted()}, terms.scratch, terms.alive, terms.tell, terms.otherwise)
    inside = Inside(means, layer if means == "landlock" else None)
    inside.redirect()
    return inside
