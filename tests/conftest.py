"""What all tests share: a script is recorded and examined in one line; hypothesis draws the same examples each time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:  # the tests of tables and of the command line need no torch
    from tests.recorded import Findings, Record
    from unstuck.diagnosis.model import Finding
    from unstuck.tape.model import Tape

settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")


@pytest.fixture(scope="module", autouse=True)
def _small_heap() -> Iterator[None]:
    """What a file leaves behind is not searched again: recording looks through all objects, and so does each full
    collection, which takes longer with every file otherwise."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """`record(text, steps=..., seconds=...)`: the tape of a script that ran in the test's own folder."""
    from tests.recorded import tape_of

    return lambda text, **budget: tape_of(text, tmp_path, **budget)


@pytest.fixture
def findings(record: Record) -> Findings:
    """`findings(text, *faults)`: what those rules (all of them if none is named) find in a script, or on a tape."""
    from unstuck.diagnosis.examine import Readings, examine
    from unstuck.rules.catalogue import catalogue
    from unstuck.tape.model import Tape

    def found(script: str | Tape, *faults: str) -> list[Finding]:
        tape = script if isinstance(script, Tape) else record(script)
        rules = {name: rule for name, rule in catalogue().items() if name in faults or not faults}
        assert set(faults) <= rules.keys(), f"no rule is called {set(faults) - rules.keys()}"
        return examine(Readings(tape), rules)[0]

    return found
