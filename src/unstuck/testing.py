"""For test suites: `assert_learns(train)` fails where a training function does not learn, and says why.

from unstuck.testing import assert_learns

def test_the_classifier_learns():
    assert_learns(train, rows, labels, epochs=3)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from unstuck.integrations.watching import Effort, NothingRecorded, Report, watch

STATES = {"does-not-learn": "does not learn", "below-headroom": "learns less than its data hold"}
"""The states that fail by themselves, in words."""


class DoesNotLearn(AssertionError):
    """A training function has a proven cause or a suspect, or its score says that it does not learn.

    Its message is the verdict and the report; `report` is the whole diagnosis.
    """

    def __init__(self, verdict: str, report: Report) -> None:
        super().__init__(f"{verdict}\n\n{report.text}")
        self.verdict = verdict
        """One line: what was found (causes, else suspects), and that the function does not learn."""
        self.report = report


def assert_learns(
    train: Callable[..., Any],
    *args: Any,
    effort: Effort = "quick",
    folder: str | Path | None = None,
    allow: frozenset[str] | set[str] = frozenset(),
    **options: Any,
) -> Any:
    """Call `train(*args, **options)`, examine its training steps, and return what it returns.

    Parameters
    ----------
    train
        trains a network; a few hundred steps on little data are enough.
    effort
        how long the experiments may take.
    folder
        where the sources are that the message names lines of; by default the current folder.
    allow
        faults that are meant, by name (`unstuck explain` lists them).

    Raises
    ------
    DoesNotLearn
        an AssertionError: a cause or a suspect was found, or the run does not learn or learns below what its data hold.
        The message is the report.
    NothingRecorded
        `train` made no training step.
    Exception
        whatever `train` raises.
    """
    __tracebackhide__ = True
    name = getattr(train, "__name__", "train")
    with watch(folder, name=name) as run:
        returned = train(*args, **options)
    report = run.report(effort)
    if _sick(report.diagnosis, allow):
        raise DoesNotLearn(_verdict(name, report.diagnosis), report)
    return returned


def _sick(diagnosis: dict[str, Any], allow: frozenset[str] | set[str]) -> bool:
    loud = {f["fault"] for f in diagnosis["findings"] if f["role"] in ("cause", "suspect")}
    poor = diagnosis["state"] in ("does-not-learn", "below-headroom")
    return bool(loud - allow) or (poor and not loud & allow)


def _verdict(name: str, diagnosis: dict[str, Any]) -> str:
    """One line such as 'no-step (train.py:12): train does not learn': pytest's summary shows its beginning."""
    found = {role: [_named(f) for f in diagnosis["findings"] if f["role"] == role] for role in ("cause", "suspect")}
    named = ", ".join(found["cause"]) or " or ".join(found["suspect"])
    said = f"{name} {STATES.get(diagnosis['state'], 'has a fault')}"
    return f"{named}: {said}" if named else said


def _named(finding: dict[str, Any]) -> str:
    site = finding["site"]
    return f"{finding['fault']} ({site['file']}:{site['line']})" if site else finding["fault"]


__all__ = ["DoesNotLearn", "NothingRecorded", "assert_learns"]
