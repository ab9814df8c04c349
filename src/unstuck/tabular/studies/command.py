"""`unstuck study NAME`: which studies there are, and one way to run them all. No torch until one is told."""

from __future__ import annotations

import importlib
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from unstuck.tabular.extras import MissingExtra, needed_by
from unstuck.tabular.studies.story import Progress, Request, Study, Unavailable

STUDIES = {
    "heart-rate": "unstuck.tabular.studies.heart_rate",
    "rice": "unstuck.tabular.studies.rice",
    "cifar": "unstuck.tabular.studies.cifar",
}
"""Each module has `tell(request: Request, progress: Progress) -> Study`, and raises `Unavailable` without its data."""


def run(options: Namespace, progress: Progress) -> Study:
    """Run the study that was asked for. Raises `story.Unavailable` with one line where it cannot be run."""
    data = Path(options.data).expanduser() if options.data else None
    request = Request(seeds=options.seeds, data=data, epochs=options.epochs, quick=options.quick)
    try:
        with needed_by(f"study {options.study}"):
            tell: Callable[[Request, Progress], Study] = importlib.import_module(STUDIES[options.study]).tell
            return tell(request, progress)
    except MissingExtra as missing:
        raise Unavailable(str(missing)) from None
