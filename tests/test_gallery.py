"""The gallery: every healthy script is described and measured, `unstuck run` finds nothing in six of them, and the
variations that the benchmarks draw are sound."""

from __future__ import annotations

import ast
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
    "trial_of_thirty_steps",
)
FEW = ("sgd_by_hand", "weighted_sampler")
"""Those of the default suite; `make net` runs them all."""
LIMIT = 300
"""Seconds for one of them; the slowest took 30 with nine processes on two cores."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_a_script_has_a_title_and_prints_one_result(script: Path) -> None:
    text = script.read_text()
    title = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    assert len(title) > 30 and title.endswith((".", "?"))
    assert '"SEED"' in text and "RESULT " in text
    compile(text, str(script), "exec")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_a_script_is_measured_and_listed_in_the_readme(script: Path) -> None:
    values = MEASURED[script.stem]["values"]
    assert len(values) == 3 and all(v is not None for v in values)
    assert f"| {script.stem} |" in (GALLERY / "README.md").read_text()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_a_script_imports_only_common_libraries(script: Path) -> None:
    named = re.findall(r"^(?:import|from) (\w+)", script.read_text(), re.MULTILINE)
    assert set(named) <= {"torch", "numpy", "sklearn", "pandas"} | set(sys.stdlib_module_names)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in FEW else pytest.mark.net) for n in QUICK])
def test_nothing_is_found_in_a_healthy_script(name: str, tmp_path: Path) -> None:
    script, out = GALLERY / "healthy" / f"{name}.py", tmp_path / "diagnosis.json"
    command = [sys.executable, "-m", "unstuck", "run", "--json", str(out), script.name]
    environment = dict(os.environ, SEED="0", OMP_NUM_THREADS="1")
    done = subprocess.run(
        command, cwd=script.parent, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert out.exists(), done.stderr[-2000:]
    diagnosis = json.loads(out.read_text())
    assert diagnosis["causes"] == []
    assert [f["fault"] for f in diagnosis["findings"] if f["role"] != "hint"] == []
    assert done.returncode == 0


def test_every_variation_compiles_and_differs_from_its_healthy_twin() -> None:
    cases = list(every_case())
    assert len({case.name for case in cases}) == len(cases) > 500
    for case in cases:
        compile(case.train, case.name, "exec")
        compile(case.fixed, case.name, "exec")
        assert case.faults or case.train == case.fixed
        assert not case.faults or case.train != case.fixed or not case.code_mends


def test_variations_are_drawn_alike_every_time() -> None:
    first, again = ({case.name: case.train for case in pairs()} for _ in range(2))
    assert first == again


def test_every_rule_but_these_has_a_variation() -> None:
    # The first needs an accelerator; the next two follow from other faults and cannot be written alone.
    without = {"device-copy-discarded", "exploding-gradient", "overfitting"}
    # These need a program of their own kind (a graph, several terms, stored rows), which their own scripts are.
    without |= {"aggregation-scale", "answer-in-input", "data-mutated", "loss-balance", "nonfinite-gradient"}
    # And these a saved checkpoint, clipped gradients, a second network that makes the targets, or an exit of the loop.
    without |= {"checkpoint-mismatch", "clip-misuse", "stopped-early", "target-construction"}
    assert set(catalogue()) <= {fault.name for fault in every_fault()} | without
