"""Training score, held-out score and printed score are three numbers, and a run is judged by all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from tests.whole import diagnosed
from unstuck.diagnosis.experiment import PrintedScore, Run, Scores
from unstuck.diagnosis.level import still_prints
from unstuck.diagnosis.model import NotApplicable
from unstuck.diagnosis.roles import state_of
from unstuck.diagnosis.whole_runs import compared
from unstuck.signals.final_number import FinalNumber

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(600, 6)
y = (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0).long()
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 4))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(8):
    for rows in torch.randperm(480).split(40):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
test_x, test_y = x[480:], {test}
with torch.no_grad():
    accuracy = (model(test_x).argmax(1) == test_y).float().mean().item()
print({said})
"""
RIGHT, TURNED = "y[480:]", "3 - y[480:]"


def printing(said: str, test: str = RIGHT) -> str:
    return SCRIPT.format(test=test, said=said)


def test_a_run_that_trains_well_and_prints_chance_does_not_learn_well(tmp_path: Path) -> None:
    done = diagnosed(printing("'test accuracy', accuracy", TURNED), tmp_path / "work", prove=False).diagnosis
    assert (done.state, done.misled) == ("below-headroom", True)
    scores = done.scores
    assert scores.training is not None and scores.training > 0.85
    assert scores.held_out is not None and scores.held_out < 0.2
    assert scores.printed is not None and scores.printed.value < 0.2 and scores.printed.line == 19


def test_a_run_that_prints_what_it_learnt_is_left_alone(tmp_path: Path) -> None:
    done = diagnosed(printing("'test accuracy', accuracy"), tmp_path / "work", prove=False).diagnosis
    assert (done.state, done.misled) == ("learns-well", False)
    scores = done.scores
    assert scores.printed is not None and scores.printed.value > 0.85
    assert scores.held_out == pytest.approx(scores.printed.value, abs=1e-4)
    assert not done.causes and not done.suspects


@pytest.mark.parametrize("said", [
    "'loss', 0.1",
    "'took', 0.1, 's'", "'epoch', 1", "'perplexity', 0.1", "'best accuracy', 0.1", "'train accuracy', 0.1",
    "'accuracy under attack: robust accuracy', 0.1", "'accuracy', 1234", "'r2', 0.1",
])  # fmt: skip
def test_other_numbers_are_no_score(said: str, tmp_path: Path) -> None:
    with pytest.raises(NotApplicable):
        FinalNumber.read(tape_of(printing(said), tmp_path))


def run(skill: float, printed: float | None) -> Run:
    said = PrintedScore("accuracy", printed, printed) if printed is not None else None
    return Run(skill=skill, score=skill, passes=400, task="classes", scores=Scores(skill, None, said))


@pytest.mark.parametrize(("was", "now", "still"), [
    (0.0, 0.02, True), (0.0, 0.5, False), (0.9, 0.9, False), (None, 0.0, False), (0.0, None, False),
])  # fmt: skip
def test_a_patch_that_leaves_a_poor_result_as_it_was_heals_nothing(
    was: float | None, now: float | None, still: bool
) -> None:
    before, after = run(0.2, was), run(0.95, now)
    assert still_prints(before, after) is still
    assert (compared(before, after)[0] == "undecided") is still


def test_the_state_is_that_of_the_lowest_score() -> None:
    assert state_of(run(0.95, 0.9)) == "learns-well"
    assert state_of(run(0.95, 0.05)) == "below-headroom"
