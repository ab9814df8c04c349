"""The rules that read the source: what they see, what they leave alone, and that the edit mends what they saw."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
import typing

import pytest

from tests import faulty_snippets
from tests.healthy_snippets import FAMILIES
from unstuck.diagnosis.examine import Readings
from unstuck.diagnosis.model import Finding
from unstuck.remedies.treatment import CannotEdit
from unstuck.rules.catalogue import NotApplicable
from unstuck.source.text import Sources
from unstuck.tape.model import Tape

RULES = tuple(FAMILIES)
LINES = {
    "metric_error": ["train_loss += loss_fn"],
    "loss_keeps_graph": ["total += loss"],
    "device_copy_discarded": ["inputs.float()"],
    "state_dict_alias": ["best = model.state_dict()"],
    "optimizer_reset": ["    model = nn.Sequential"],
    "no_step": ["optimizer.step()"],
    "mode_error": ["model.eval()"],
    "scheduler_misuse": ["scheduler.step()"],
    "eval_leak": ["np.concatenate([x, x[more]])"],
    "preprocess_mismatch": ["X_train = scaler.fit_transform(X_train)"],
}
"""Where each rule's FIRES has its fault."""


def tape_of(text: str) -> Tape:
    return Tape(script="train.py", folder=".", torch="", stopped="", sources={"train.py": text})


def findings(rule: str, text: str) -> list[Finding]:
    module = importlib.import_module(f"unstuck.rules.{rule}")
    kinds = typing.get_type_hints(module.check)
    readings = Readings(tape_of(text))
    wanted = [kinds[name] for name in inspect.signature(module.check).parameters]
    try:
        return list(module.check(*(reading(readings, kind) for kind in wanted)))
    except NotApplicable:
        return []


def reading(readings: Readings, kind: typing.Any) -> object:
    """A reading; None where it may be missing and is: there is no tape behind these texts."""
    try:
        return readings.of(next(iter(typing.get_args(kind)), kind))
    except NotApplicable:
        if not typing.get_args(kind):
            raise
        return None


def script(rule: str, which: str) -> str:
    return getattr(importlib.import_module(f"unstuck.rules.{rule}"), which)


def edited(rule: str, text: str) -> str:
    sources = Sources({"train.py": text}, "train.py")
    for finding in findings(rule, text):
        sources = finding.remedies[0].edit(sources)
    return sources.files["train.py"]


def run(text: str, folder) -> subprocess.CompletedProcess[str]:
    (folder / "train.py").write_text(text)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "train.py"], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("rule", RULES)
def test_fires_at_the_line(rule: str) -> None:
    text = script(rule, "FIRES")
    lines = text.splitlines()
    found = findings(rule, text)
    assert [lines[f.site.line - 1] for f in found if f.site] != []
    for finding, said in zip(found, LINES[rule], strict=True):
        assert finding.site is not None
        assert said in lines[finding.site.line - 1]


@pytest.mark.parametrize("rule", RULES)
def test_quiet_on_its_healthy_twin(rule: str) -> None:
    assert findings(rule, script(rule, "QUIET")) == []


@pytest.mark.net
@pytest.mark.parametrize("rule", RULES)
def test_the_edit_makes_it_quiet_and_runs(rule: str, tmp_path) -> None:
    text = edited(rule, script(rule, "FIRES"))
    assert findings(rule, text) == []
    done = run(text, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize(("rule", "number"), [(rule, i) for rule in RULES for i in range(len(FAMILIES[rule]))])
def test_quiet_on_what_looks_alike(rule: str, number: int) -> None:
    text = FAMILIES[rule][number]
    compile(text, "train.py", "exec")
    assert [(f.fault, f.message) for f in findings(rule, text) if f.severity != "hint"] == []


@pytest.mark.parametrize("rule", RULES)
def test_quiet_on_the_others_look_alikes(rule: str) -> None:
    others = [text for family, texts in FAMILIES.items() if family != rule for text in texts]
    loud = [f.message for text in others for f in findings(rule, text) if f.severity != "hint"]
    assert loud == []


TOLD = [(rule, i) for rule, texts in faulty_snippets.FAMILIES.items() for i in range(len(texts))]


@pytest.mark.parametrize(("rule", "number"), TOLD)
def test_found_however_it_is_told(rule: str, number: int) -> None:
    assert findings(rule, faulty_snippets.FAMILIES[rule][number]) != []


@pytest.mark.parametrize(("rule", "number"), TOLD)
def test_an_edit_leaves_nothing_to_find(rule: str, number: int) -> None:
    text = faulty_snippets.FAMILIES[rule][number]
    if not all(f.remedies for f in findings(rule, text)):
        return
    try:
        after = edited(rule, text)
    except CannotEdit as why:
        assert "\n" not in str(why)
        return
    compile(after, "train.py", "exec")
    assert findings(rule, after) == []


@pytest.mark.parametrize("rule", RULES)
def test_quiet_on_the_faults_of_others(rule: str) -> None:
    others = [text for family, texts in faulty_snippets.FAMILIES.items() if family != rule for text in texts]
    loud = [f.message for text in others for f in findings(rule, text) if f.severity != "hint"]
    assert loud == []


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "text", ["", "x = 1", "def f(:", "\ufeffprint('a')", "import torch\nfor i in f(): pass\n", "\t"]
)
def test_no_traceback_on_odd_text(rule: str, text: str) -> None:
    assert findings(rule, text) == []
