"""Every micro-experiment: its page, what it says of its script, and that it says nothing of the healthy twin."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.catalogue import HEADINGS, MicroExperiment, Reading, micro_experiments
from unstuck.micro.step import Recorded
from unstuck.tape.interpreter import CannotReplay

ALL = micro_experiments()


@functools.cache
def recorded(text: str) -> Recorded:
    return Recorded(tape_of(text, Path(tempfile.mkdtemp(prefix="unstuck-micro-")), seconds=10.0))


def reading(micro: MicroExperiment, text: str) -> Reading | None:
    try:
        return micro.ask(recorded(text))
    except (NotApplicable, CannotReplay):
        return None


def told(micro: MicroExperiment, text: str) -> tuple[Statement, ...]:
    read = reading(micro, text)
    return read.statements if read is not None else ()


@pytest.fixture(params=ALL)
def micro(request: pytest.FixtureRequest) -> MicroExperiment:
    return ALL[request.param]


def test_the_page_has_its_headings(micro: MicroExperiment) -> None:
    places = [micro.page.find(f"\n{heading}\n") for heading in HEADINGS]
    assert -1 < places[0] < places[1] < places[2] < places[3]


def test_it_states_something_at_a_line_of_its_script(micro: MicroExperiment) -> None:
    read = reading(micro, micro.fires)
    assert read is not None and read.why
    assert read.statements
    lines = micro.fires.splitlines()
    assert all(s.site is None or lines[s.site.line - 1].strip() for s in read.statements)
    assert all(s.experiment == micro.name for s in read.statements)


def test_it_states_nothing_of_the_healthy_twin(micro: MicroExperiment) -> None:
    assert recorded(micro.quiet).tape.error is None
    assert told(micro, micro.quiet) == ()


def test_cheap_ones_come_first() -> None:
    costs = [m.cost for m in ALL.values()]
    assert costs == sorted(costs)
