"""Faults read from the tape's history, through the whole pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.signals.test_renamed_classes import SCRIPT, SICK
from tests.whole import diagnosed
from unstuck.rules.catalogue import catalogue


@pytest.mark.net
def test_stored_rows_that_change_are_the_cause_at_their_line(tmp_path: Path) -> None:
    rule = catalogue()["data-mutated"]
    done = diagnosed(rule.fires, tmp_path / "work", prove=False).diagnosis
    (cause,) = [f for f in done.causes if f.fault == "data-mutated"]
    assert cause.site is not None
    assert rule.fires.splitlines()[cause.site.line - 1].strip() == "row /= 0.5"


@pytest.mark.net
@pytest.mark.parametrize("case", ["rolled"])
def test_classes_numbered_otherwise_are_the_cause_beside_a_good_training(case: str, tmp_path: Path) -> None:
    classes, noise, rows, labels = SICK[case]
    text = SCRIPT.format(classes=classes, noise=noise, rows=rows, labels=labels)
    done = diagnosed(text.replace("print(right", "print('accuracy', right"), tmp_path / "work", prove=False).diagnosis
    assert [f.fault for f in done.causes] == ["label-misaligned"]
    assert (done.state, done.misled) == ("below-headroom", True)


@pytest.mark.net
def test_the_healthy_twin_is_left_alone(tmp_path: Path) -> None:
    done = diagnosed(catalogue()["data-mutated"].quiet, tmp_path / "work", prove=False).diagnosis
    assert not done.causes and not done.suspects
