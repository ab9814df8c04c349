"""One whole conversation with the server: diagnose, look, experiment, try_patch."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp import Client

from tests.mcp.served import called, during

pytestmark = pytest.mark.net
SCRIPT = Path(__file__).parents[2] / "examples/heart_rate.py"


def test_a_conversation_finds_the_cause_looks_at_it_and_tries_the_patch(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text("print('hello')\n")
    (tmp_path / "train.py").write_text(SCRIPT.read_text(encoding="utf-8") + "\nopen('written', 'w').close()\n")

    async def talk(opened: Client) -> None:
        nothing = await called(opened, "diagnose", script="hello.py", effort="quick")
        assert "no training step was recorded" in nothing["abstained"]
        found = await called(opened, "diagnose", script="train.py", effort="quick")
        assert [c["fault"] for c in found["causes"]] == ["input-offset"] and found["tape"]
        seen = await called(opened, "look", at="rows")
        assert len(seen["first_batch"]) == 3 and 80 < seen["first_batch"][0]["input 0"][0] < 110
        made = await called(opened, "experiment", name="input-offset", effort="quick")
        assert made["verdict"] == "heals" and made["abstained"] is None
        other = await called(opened, "experiment", name="set-rate", value=0.0031, effort="quick")
        assert other["verdict"] in ("no-difference", "undecided")
        none = await called(opened, "experiment", name="label-range", effort="quick")
        assert "nothing on this tape calls for label-range" in none["abstained"]
        tried = await called(opened, "try_patch", script="train.py", patch=found["patch"]["diff"])
        assert tried["verdict"] == "heals" and tried["better"] is True and tried["contained"] != "none"
        harmed = await called(opened, "try_patch", script="train.py", patch="--- a/x.py\n+++ b/x.py\n")
        assert "does not apply" in harmed["abstained"]

    during(tmp_path, talk)
    assert not (tmp_path / "written").exists(), "all runs are contained"
