"""`unstuck study NAME`: the list of studies, and how to run one. Imports torch only then."""

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
    """Run the chosen study. Raises `story.Unavailable` with one line if it cannot be run."""
    data = Path(options.data).expanduser() if options.data else None
    request = Request(seeds=options.seeds, data=data, epochs=options.epochs, quick=options.quick)
    try:
        with needed_by(f"study {options.study}"):
            tell: Callable[[Request, Progress], Study] = importlib.import_module(STUDIES[options.study]).tell
            return tell(request, progress)
    except MissingExtra as missing:
        raise Unavailable(str(missing)) from None
