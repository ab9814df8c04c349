"""The treatments: one file each, found by walking; files that begin with an underscore hold what they share."""

from __future__ import annotations

import importlib
import pkgutil

from unstuck.remedies.treatment import Treatment


def catalogue() -> dict[str, type[Treatment]]:
    """Every treatment by its name: the modules of this package, as they are found."""
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"{__name__}.{module.name}")
    own = [kind for kind in Treatment.__subclasses__() if kind.__module__.startswith(f"{__name__}.")]
    return {kind.name: kind for kind in sorted(own, key=lambda k: k.name)}
