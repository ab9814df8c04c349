"""The pytest plugin: a fixture `assert_learns`, and a report of its own for a test that fails by it.

def test_the_classifier_learns(assert_learns):
    assert_learns(train, rows, labels, epochs=3)

pytest loads this module in every run of every project beside which unstuck is installed. So it imports nothing at load
but what `import unstuck` does: neither torch nor numpy; and it touches only tests that fail by `DoesNotLearn`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from unstuck.integrations.watching import Report
    from unstuck.testing import DoesNotLearn

PAGES = "--unstuck-pages"
RAISER = "unstuck.testing"
"""The module of DoesNotLearn: where it was never imported, no test has failed by it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--unstuck-pages FOLDER`: where the page of each test that fails by `assert_learns` is written."""
    group = parser.getgroup("unstuck")
    group.addoption(PAGES, metavar="FOLDER", help="write the HTML page of each training that does not learn there")


@pytest.fixture
def assert_learns(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`unstuck.testing.assert_learns`, which names lines of files below pytest's root folder."""
    from functools import partial

    from unstuck.testing import assert_learns as learns

    return partial(learns, folder=request.config.rootpath)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show a training that does not learn by its verdict, and the diagnosis in a section of its own."""
    failure = _failure(call)
    if failure is not None:
        failure.args = (failure.verdict,)  # the message holds the report, which the section shows without margins
    shown = yield
    if failure is not None:
        shown.sections.append(("unstuck", failure.report.text))
        if folder := item.config.getoption(PAGES):
            shown.sections.append(("unstuck page", str(_written(failure.report, Path(folder), item.nodeid))))
    return shown


def _failure(call: pytest.CallInfo[None]) -> DoesNotLearn | None:
    if RAISER not in sys.modules or call.excinfo is None:
        return None
    from unstuck.testing import DoesNotLearn

    return call.excinfo.value if isinstance(call.excinfo.value, DoesNotLearn) else None


def _written(report: Report, folder: Path, test: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', test).strip('-')}.html"
    path.write_text(report.page, encoding="utf-8")
    return path
