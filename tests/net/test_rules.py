"""Every rule through the whole pipeline: its script is recorded and diagnosed, its patch applied and run.

Long: `make net` runs it. The default suite runs a few of them (tests/diagnosis/test_pipeline.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.whole import Whole, diagnosed, run, skill
from unstuck.diagnosis.skill import NO_WORSE, SETTLED
from unstuck.rules.catalogue import catalogue

pytestmark = pytest.mark.net
RULES = catalogue()
NOT_A_CAUSE = {
    "overfitting": "a hint by design: training longer than needed is no fault",
    "device-copy-discarded": "without an accelerator a discarded copy changes nothing",
}
"""Rules whose script cannot show a proven effect here, and why."""
Diagnosed = Callable[[str], Whole]


@pytest.fixture(scope="module")
def fires(tmp_path_factory: pytest.TempPathFactory) -> Diagnosed:
    """The diagnosis of a rule's FIRES, made once."""
    made: dict[str, Whole] = {}

    def of(fault: str) -> Whole:
        if fault not in made:
            made[fault] = diagnosed(RULES[fault].fires, tmp_path_factory.mktemp("fires") / "script")
        return made[fault]

    return of


@pytest.mark.parametrize("fault", RULES)
def test_its_script_is_diagnosed_with_this_cause(fault: str, fires: Diagnosed) -> None:
    found = fires(fault).diagnosis
    assert not [o for o in found.outcomes if "the rule failed" in o.reason]
    if fault in NOT_A_CAUSE:
        pytest.skip(NOT_A_CAUSE[fault])
    assert fault in {f.fault for f in found.causes}, [(f.fault, f.role, f.effect) for f in found.findings]


@pytest.mark.parametrize("fault", RULES)
def test_the_line_is_in_the_script(fault: str, fires: Diagnosed) -> None:
    sites = [f.site for f in fires(fault).diagnosis.findings if f.fault == fault and f.site is not None]
    lines = RULES[fault].fires.splitlines()
    if not sites:
        pytest.skip("the fault stands at no line: it is in the data")
    assert all(site.file == "train.py" and lines[site.line - 1].strip() for site in sites)


@pytest.mark.parametrize("fault", RULES)
def test_without_experiments_it_is_named(fault: str, tmp_path: Path) -> None:
    found = diagnosed(RULES[fault].fires, tmp_path / "script", prove=False)
    if fault in NOT_A_CAUSE:
        pytest.skip(NOT_A_CAUSE[fault])
    if fault in ("lr-too-low", "lr-too-high"):
        pytest.skip("a rate is judged by a sweep, which is an experiment")
    assert found.loud(fault), [(f.fault, f.role, f.known) for f in found.diagnosis.findings]


@pytest.mark.parametrize("fault", RULES)
def test_its_patch_applies_and_the_patched_script_learns(fault: str, fires: Diagnosed) -> None:
    whole = fires(fault)
    if whole.diagnosis.patch is None:
        pytest.skip("no remedy of this fault can be written into the source")
    before = skill(whole.folder)
    folder = whole.patched()
    done = run(folder)
    assert done.returncode == 0, done.stderr[-2000:]
    after = skill(folder)
    assert after >= min(SETTLED, before - NO_WORSE) or after > before + 0.15, (before, after)


@pytest.mark.parametrize("fault", RULES)
def test_its_healthy_twin_is_left_alone(fault: str, tmp_path: Path) -> None:
    found = diagnosed(RULES[fault].quiet, tmp_path / "script").diagnosis
    assert not found.causes and not found.suspects, [(f.fault, f.role, f.message) for f in found.findings]
