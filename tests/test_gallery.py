"""The healthy gallery: every script says what it is, and the tool is silent on a few quick ones."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from unstuck.rules.catalogue import catalogue

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.sick.variation import every_fault, pairs
from benchmarks.variations import every_case

GALLERY = Path(__file__).parent / "gallery"
SCRIPTS = sorted((GALLERY / "healthy").glob("*.py"))
MEASURED = json.loads((GALLERY / "measured.json").read_text())
QUICK = (
    "sgd_by_hand",
    "full_batch_moons",
    "raw_table_behind_batchnorm",
    "weighted_sampler",
    "noisy_labels",
    "accumulate_micro_batches",
)
LIMIT = 150
runs = pytest.mark.skipif(importlib.util.find_spec("unstuck.__main__") is None, reason="the command is not there")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_a_script_says_what_it_is_and_prints_one_result(script: Path) -> None:
    text = script.read_text()
    title = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    assert len(title) > 30 and title.endswith((".", "?"))
    assert '"SEED"' in text and "RESULT " in text
    compile(text, str(script), "exec")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_a_script_was_measured_and_stands_in_the_table(script: Path) -> None:
    values = MEASURED[script.stem]["values"]
    assert len(values) == 3 and all(v is not None for v in values)
    assert f"| {script.stem} |" in (GALLERY / "README.md").read_text()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_a_script_needs_nothing_but_the_usual_libraries(script: Path) -> None:
    named = re.findall(r"^(?:import|from) (\w+)", script.read_text(), re.MULTILINE)
    assert set(named) <= {"torch", "numpy", "sklearn", "pandas"} | set(sys.stdlib_module_names)


@runs
@pytest.mark.parametrize("name", QUICK)
def test_the_tool_is_silent_on_a_healthy_script(name: str, tmp_path: Path) -> None:
    script, said = GALLERY / "healthy" / f"{name}.py", tmp_path / "diagnosis.json"
    command = [sys.executable, "-m", "unstuck", "run", "--json", str(said), script.name]
    surroundings = dict(os.environ, SEED="0", OMP_NUM_THREADS="1")
    try:
        done = subprocess.run(
            command, cwd=script.parent, env=surroundings, capture_output=True, text=True, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"no verdict within the suite's time ({LIMIT} s)")
    assert said.exists(), done.stderr[-2000:]
    diagnosis = json.loads(said.read_text())
    assert diagnosis["causes"] == []
    assert [f["fault"] for f in diagnosis["findings"] if f["severity"] != "hint"] == []
    assert done.returncode == 0


def test_every_variation_is_a_program_with_a_sound_twin() -> None:
    cases = list(every_case())
    assert len({case.name for case in cases}) == len(cases) > 500
    for case in cases:
        compile(case.train, case.name, "exec")
        compile(case.fixed, case.name, "exec")
        assert case.faults or case.train == case.fixed
        assert not case.faults or case.train != case.fixed or not case.code_mends


def test_variations_are_the_same_every_time() -> None:
    first, again = ({case.name: case.train for case in pairs()} for _ in range(2))
    assert first == again


def test_every_fault_with_a_page_is_written_in_some_variation() -> None:
    seldom = {"device-copy-discarded", "exploding-gradient", "overfitting"}  # they do not show, or come of other faults
    assert set(catalogue()) <= {fault.name for fault in every_fault()} | seldom
