"""Every broken program of the gallery through the whole pipeline: its cause is named, and its patch runs.

Long: `make net` runs it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.whole import Whole, record, run
from unstuck.diagnosis.pipeline import diagnose

pytestmark = pytest.mark.net
SICK = sorted((Path(__file__).parents[1] / "gallery" / "sick").iterdir())


@pytest.mark.parametrize("case", SICK, ids=lambda p: p.name)
def test_a_broken_program_is_named_and_its_patch_runs(case: Path, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    shutil.copytree(case, folder, ignore=shutil.ignore_patterns("truth.json", "fixed.py"))
    truth = json.loads((case / "truth.json").read_text())
    whole = Whole(folder, diagnose(record(folder)))
    loud = {f.fault for f in (*whole.diagnosis.causes, *whole.diagnosis.suspects)}
    admitted = {*truth["faults"], *truth.get("also_true", [])}
    assert loud & admitted, (truth["faults"], [(f.fault, f.role, f.effect) for f in whole.diagnosis.findings])
    if whole.diagnosis.patch is None:
        pytest.skip("named; no remedy of it can be written into the source")
    done = run(whole.patched())
    assert done.returncode == 0, done.stderr[-2000:]
