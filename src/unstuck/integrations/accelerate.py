"""For loops that Accelerate prepares: `with watching(accelerator): ...` around the loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from unstuck.integrations.training import Training


@contextmanager
def watching(accelerator: Any, **options: Any) -> Iterator[Training]:
    """Record the loop on the main process and report at its end. Options as `Training`.

    Raises what the loop raises, after the report.
    """
    training = Training(**options)
    if not accelerator.is_main_process:
        yield training
        return
    training.begin()
    try:
        yield training
    except BaseException as error:
        training.end(error)
        raise
    training.end()
