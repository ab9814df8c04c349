"""The subjects of published benchmarks, and the tables of what was said of them."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.published.__main__ import rows
from benchmarks.published.subject import SCRIPTS, Subject, subjects
from benchmarks.published.table import false_causes, mended, tables
from benchmarks.published.trial import Row, result
from unstuck.rules.catalogue import pages

SUBJECT = Subject(
    "x_1", "Collection", "no 1", ("act", "lr"), "flat", ("output-range",), ("target-scale",), others=("1011", "1001"),
    broken=0.1, repaired=0.9,
)  # fmt: skip
ROW = Row("x_1", 1, 30.0, "does-not-learn", ("output-range",), ("dead-relu",), (), True, 0.8)


@pytest.mark.parametrize("subject", subjects(), ids=lambda subject: subject.name)
def test_every_subject_compiles_and_tells_its_result(subject: Subject) -> None:
    for text in (subject.script(), subject.repaired_script()):
        ast.parse(text)
        assert re.search(r"^ *print\(f?\"RESULT (accuracy|r2|loss|spread) ", text, re.MULTILINE)
    assert subject.healthy or subject.script() != subject.repaired_script()
    assert len(subject.script().splitlines()) <= 60


def test_every_script_is_a_subject_and_every_name_is_a_rule() -> None:
    names = {subject.name for subject in subjects()}
    assert {path.stem for path in SCRIPTS.glob("*_*.py")} == names
    faults = {fault for subject in subjects() for fault in (*subject.faults, *subject.also)}
    assert faults <= set(pages())


def test_a_script_is_run_beside_its_helpers_and_its_result_read() -> None:
    text = "import os, pictures\nprint('RESULT r2', os.environ['SEED'])\n"
    assert result(text, "x", 7, 60) == 7.0
    assert result("print('nothing')", "x", 0, 60) is None


@pytest.mark.parametrize(("patched", "yes"), [(0.75, True), (0.7, False), (None, False), (float("nan"), False)])
def test_a_patch_counts_from_four_fifths_of_the_way(patched: float | None, yes: bool) -> None:
    assert mended(SUBJECT, replace(ROW, patched=patched)) is yes


def test_a_loss_that_falls_is_mended_too() -> None:
    assert mended(replace(SUBJECT, broken=10.0, repaired=1.0), replace(ROW, patched=1.2))


def test_false_causes_are_those_that_are_not_true_of_the_program() -> None:
    row = replace(ROW, causes=("output-range", "target-scale", "no-step"))
    assert false_causes(SUBJECT, row) == ["no-step"]
    assert false_causes(replace(SUBJECT, faults=(), also=()), replace(ROW, causes=())) == ["dead-relu"]


def test_the_tables_count_per_collection() -> None:
    other = replace(SUBJECT, name="x_2", shown=True, others=("0001", "0000"))
    healthy = Subject("ok_1", "Healthy", "no 2", broken=0.9)
    said = [ROW, replace(ROW, name="x_2", causes=("no-step",), patched=None), Row("ok_1", 0, 9.0, "learns-well")]
    lines = tables([SUBJECT, other, healthy], said).splitlines()
    assert "| x_1 | act, lr | output-range | dead-relu | yes | yes | yes | - | 0.10 / 0.80 / 0.90 |" in lines
    assert "| x_2 (shown) | act, lr | no-step | dead-relu | no | no | no | no-step | 0.10 / - / 0.90 |" in lines
    assert "all: 2; named 1, caused 1, mended 1; false causes 1" in lines
    assert "not shown: 1; named 1, caused 1, mended 1; false causes 0" in lines
    told = "UMLAUT 1 / 1, AutoTrainer 0 / 0, DeepLocalize 1 / 0, DeepFD 2 / 1"
    assert f"The same 2, detected / diagnosed: {told}" in lines
    assert "| ok_1 | 0.90 | learns-well | - | 0 |" in lines
    assert "1 healthy programs, 0 with something above a hint" in lines


def test_rows_are_read_back(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(ROW.line() + "\n")
    assert rows(tmp_path / "rows.jsonl") == [ROW]
    assert json.loads(ROW.line())["causes"] == ["output-range"]
