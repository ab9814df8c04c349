"""The driver that runs whole programs alone and under the tool."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.field import measured, outputs, trees
from benchmarks.field.programs import Program, read
from benchmarks.field.table import table
from benchmarks.field.trial import Row

ROW = Row(
    "vae", "a/b", *(0, 8.0, 5.0, 300), *(1, 20.0, 10.0, 600), steps=94, cut=True, state="does-not-learn",
    causes=("no-step",), loud=("no-step",), hints=(), notes=(), stdout="equal", added=(), touched=(), unequal=(),
)  # fmt: skip


def test_a_manifest_names_folders_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(
        '[[program]]\nname = "a"\nsource = "b"\nfolder = "f"\nargv = ["x.py"]\nenv = { PYTHONPATH = "lib" }\n'
    )
    (program,) = read(tmp_path / "m.toml")
    assert (program.folder, program.argv, program.cwd) == (tmp_path / "f", ("x.py",), ".")
    paths = program.surroundings(tmp_path / "copy", tmp_path)["PYTHONPATH"].split(os.pathsep)
    assert paths[-1] == str(tmp_path / "copy" / "lib")


@pytest.mark.parametrize(
    ("plain", "under", "cut", "said"),
    [
        ("a 1\n", "a 1\n", False, "equal"),
        ("a 1\nb\n", "a 1\n", True, "equal"),
        ("a 1\nb\n", "a 1\n", False, "differs"),
        ("a 1.5\n", "a -2e-3\n", False, "equal but for numbers"),
        ("a 1\n", "b 1\n", False, "differs"),
        ("a (3 s) 1\n", "a (4 s) 1\n", False, "equal"),
    ],
)
def test_outputs_are_compared_as_far_as_the_run_went(plain: str, under: str, cut: bool, said: str) -> None:
    assert outputs.compared(plain, under, cut, varies=r"\d s") == said


def test_changes_of_one_run_alone_are_told_from_those_of_both() -> None:
    before = {"data": "1", "log": "1"}
    plain = {"data": "1", "log": "2", "run-12/best": "5"}
    under = {"data": "9", "log": "3", "run-13/best": "6", "new": "7"}
    assert trees.added(plain, under) == ["new"]
    assert trees.touched(before, plain, under) == ["data"]
    assert trees.unequal(plain, under) == ["data", "log"]
    assert trees.touched(before, plain, {}) == ["data"]


def test_a_run_is_measured_in_a_copy(tmp_path: Path) -> None:
    source, scratch = tmp_path / "folder", tmp_path / "scratch"
    (source / "in").mkdir(parents=True)
    (source / "in" / "x.py").write_text("import os; open('made', 'w'); open(os.environ['HOME'] + '/h', 'w'); print(1)")
    program = Program("a", "b", source, ("x.py",), cwd="in")
    change = lambda folder: (folder / "put").write_text("")
    done = measured.run([sys.executable, "x.py"], program, scratch, 60, change)
    assert (done.code, done.out, done.err) == (0, "1\n", "")
    assert (set(done.before), set(done.after)) == ({"in/x.py", "in/put"}, {"in/x.py", "in/put", "in/made"})
    assert set(done.home) == {"h"}
    assert sorted(p.name for p in (source / "in").iterdir()) == ["x.py"]


def test_a_run_that_hangs_is_ended(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    program = Program("a", "b", tmp_path / "folder", ())
    done = measured.run(
        [sys.executable, "-c", "input()" if os.isatty(0) else "while True: pass"], program, tmp_path, 0.2
    )
    assert done.code == -9


def test_the_table_tells_ratios_and_what_was_loud() -> None:
    line = table([ROW, replace(ROW, name="quiet", code=0, loud=())]).splitlines()[2]
    assert line == (
        "| vae | a/b | 94, cut | 1 (plain 0) | does-not-learn | no-step | equal | unchanged | x2.0 "
        "| x2.00 (300 to 600 MB) |"
    )
