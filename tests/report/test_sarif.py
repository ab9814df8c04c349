"""The SARIF report: word for word, complete, and with a fix that makes the patched file."""

from __future__ import annotations

import difflib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.goldens import same_as_golden
from tests.sample_reports import ALL, HEALTHY, SICK, SUSPECTED
from unstuck.diagnosis.model import Diagnosis, Patch, Site
from unstuck.report import sarif


def run_of(diagnosis: Diagnosis, root: str = "") -> dict[str, Any]:
    (run,) = json.loads(sarif.render(diagnosis, root=root))["runs"]
    return run


@pytest.mark.parametrize("name", ["sick", "suspected"])
def test_golden(name: str) -> None:
    same_as_golden(f"{name}.sarif", sarif.render({"sick": SICK, "suspected": SUSPECTED}[name]))


@pytest.mark.parametrize("name", ALL)
def test_every_finding_is_a_result_of_a_rule_with_help(name: str) -> None:
    run = run_of(ALL[name])
    rules = run["tool"]["driver"]["rules"]
    assert [r["ruleId"] for r in run["results"]] == [f.fault for f in ALL[name].findings]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"] and rules[result["ruleIndex"]]["help"]["markdown"]


def test_levels_follow_roles() -> None:
    assert {r["level"] for r in run_of(SICK)["results"] if r["properties"]["role"] == "cause"} == {"error"}
    assert {r["level"] for r in run_of(SUSPECTED)["results"]} == {"warning"}
    assert {r["level"] for r in run_of(HEALTHY)["results"]} == {"note"}


def test_a_place_is_relative_to_the_root_and_quoted() -> None:
    site = Site("a b/train.py", 3, 4, 3, 9)
    moved = msgspec.structs.replace(SICK, findings=(msgspec.structs.replace(SICK.findings[0], site=site),), patch=None)
    place = run_of(moved, "my work")["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "my%20work/a%20b/train.py"
    assert place["region"] == {"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 10}


def test_a_fingerprint_stays_where_only_the_line_moves() -> None:
    def print_of(line: int, function: str = "train") -> str:
        finding = msgspec.structs.replace(SICK.findings[0], site=Site("train.py", line, function=function))
        diagnosis = msgspec.structs.replace(SICK, findings=(finding,))
        return run_of(diagnosis)["results"][0]["partialFingerprints"]["fault/v1"]

    assert print_of(3) == print_of(30) != print_of(3, "test")


LINES = st.lists(st.sampled_from(["a\n", "b\n", "--- a/x\n", "+++\n", "\n", "@@ -1 +1 @@\n"]), max_size=12)


@given(LINES, LINES)
def test_the_fix_makes_the_patched_file(before: list[str], after: list[str]) -> None:
    diff = "".join(difflib.unified_diff(before, after, "a/train.py", "b/train.py", n=1))
    patched = msgspec.structs.replace(SICK, patch=Patch("likely", True, diff, ("set-rate",)))
    fixes = run_of(patched)["results"][0].get("fixes", [])
    text = list(before)
    for change in reversed([r for f in fixes for c in f["artifactChanges"] for r in c["replacements"]]):
        region = change["deletedRegion"]
        new = change["insertedContent"]["text"].splitlines(keepends=True)
        text[region["startLine"] - 1 : region["endLine"] - 1] = new
    assert text == after
