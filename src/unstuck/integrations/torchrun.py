"""In torchrun's own process: no traceback where rank 0 ended with the exit code of a report.

`torchrun -m unstuck run train.py` ends with rank 0's exit code 1 where a cause was found. torchrun takes every exit
code but 0 for a crash, and prints its own traceback (`ChildFailedError`) below the report. The entry point group
`torchrun.handlers`, through which packages add rendezvous backends, is the only place where torchrun loads a plugin;
this one adds no backend.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NoReturn

REPORTED = "unstuck: exit code 1"
"""How the reason begins that rank 0 leaves in torchrun's file for errors."""


def handler() -> Callable[..., NoReturn]:
    """What the entry point loads: torchrun calls it before it starts its ranks."""
    if _launches_us(sys.argv):
        # torchrun complains of a missing file into which it could copy the reason.
        os.environ.setdefault("TORCHELASTIC_ERROR_FILE", os.devnull)
        sys.excepthook = _quiet(sys.excepthook)
    return _no_backend


def reported(error: BaseException) -> bool:
    """Whether all that failed is rank 0, with a report."""
    failures = getattr(error, "failures", None)
    if not isinstance(failures, dict) or not failures:
        return False
    return all(_reason(failure).startswith(REPORTED) for failure in failures.values())


def _launches_us(words: Sequence[str]) -> bool:
    return any(word in ("-m", "--module") and after == "unstuck" for word, after in pairwise(words))


def _quiet(shown: Callable[..., Any]) -> Callable[..., None]:
    def excepthook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if not reported(error):
            shown(kind, error, trace)

    return excepthook


def _reason(failure: Any) -> str:
    message = getattr(failure, "message", "")
    return str(message.get("message", "") if isinstance(message, dict) else message)


def _no_backend(*_: object) -> NoReturn:
    raise ValueError("unstuck is not a rendezvous backend")
