"""A training loop that a condition leaves: while the network still learns, or when it has learnt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import Findings
from tests.scripts import edited
from tests.whole import diagnosed
from unstuck.rules.stopped_early import FAULT, FIRES

EXIT = "    if waited >= 3:\n        break\n"
IN_FUNCTION = (
    FIRES[: FIRES.index("best, waited")]
    + "def train():\n    best, waited = float('inf'), 0\n"
    + "".join(f"    {line}\n" for line in FIRES[FIRES.index("for epoch") :].strip().splitlines()).replace(
        "break", "return model"
    )
    + "\n\ntrain()\n"
)


def test_the_exit_of_a_training_function_is_an_exit(findings: Findings) -> None:
    (finding,) = findings(IN_FUNCTION, FAULT)
    assert finding.site is not None
    assert IN_FUNCTION.splitlines()[finding.site.line - 1].strip() == "return model"
    assert "return model" not in edited(finding.remedies[0], IN_FUNCTION)


STEP = "        optimizer.step()\n"
INNER = "    for guess in range(3):\n        if guess > waited:\n            break\n"


@pytest.mark.parametrize(
    "text",
    [
        FIRES.replace(EXIT, "").replace(STEP, f"{STEP}        if loss < 0:\n            break\n"),
        FIRES.replace(EXIT, INNER),
    ],
    ids=["of the loop over batches", "of another loop"],
)
def test_other_exits_are_none(text: str, findings: Findings) -> None:
    assert findings(text, FAULT) == []


@pytest.mark.net
def test_a_run_that_is_stopped_in_time_is_left_alone(tmp_path: Path) -> None:
    noisy = FIRES.replace("> best", "< best").replace("> 0).long()", "+ 3 * torch.randn(1000) > 0).long()")
    whole = diagnosed(noisy.replace("lr=0.02", "lr=0.1"), tmp_path / "script")
    assert whole.loud(FAULT) == []
