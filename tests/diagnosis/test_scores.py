"""Training score, held-out score and printed score are three numbers, and a run is judged by all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from tests.whole import diagnosed
from unstuck.diagnosis.experiment import PrintedScore, Run, Scores
from unstuck.diagnosis.model import NotApplicable
from unstuck.diagnosis.roles import state_of
from unstuck.diagnosis.standing import still_prints
from unstuck.diagnosis.whole_runs import compared
from unstuck.report.sentences import verdict
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


@pytest.mark.net
def test_a_run_that_trains_well_and_prints_chance_does_not_learn_well(tmp_path: Path) -> None:
    done = diagnosed(printing("'test accuracy', accuracy", TURNED), tmp_path / "work", prove=False).diagnosis
    assert (done.state, done.misled) == ("below-headroom", True)
    scores = done.scores
    assert scores.training is not None and scores.training > 0.85
    assert scores.held_out is not None and scores.held_out < 0.2
    assert scores.printed is not None and scores.printed.value < 0.2 and scores.printed.line == 19


@pytest.mark.net
def test_a_run_of_which_other_rows_show_little_is_not_said_to_learn(tmp_path: Path) -> None:
    text = printing("accuracy").replace("x[:, 0] > 0).long() + 2 * (x[:, 1] > 0)", "x[:, 0] + torch.randn(600) > 1)")
    text = text.replace("range(8)", "range(60)").replace("32)", "256)").replace("nn.Linear(32", "nn.Linear(256")
    done = diagnosed(text, tmp_path / "work", prove=False).diagnosis
    assert (done.state, done.learns) == ("unknown", True)
    first, second, *_ = verdict(done)
    assert "learns partly: accuracy" in first
    assert second.startswith(("It prints accuracy 0.8", "It prints balanced accuracy 0.8"))
    assert second.endswith("(train.py:19, computed from rows not trained on).")


@pytest.mark.net
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


HELD = "rows not trained on"


def run(skill: float, printed: float | None, rows: str = "", evaluation: float | None = None) -> Run:
    said = (
        PrintedScore("accuracy", printed, printed, rows=rows, confirmed=rows == HELD) if printed is not None else None
    )
    scores = Scores(skill, None, said)
    return Run(skill=skill, score=skill, passes=400, task="classes", scores=scores, evaluation=evaluation)


@pytest.mark.parametrize(("was", "now", "still"), [
    (0.0, 0.02, True), (0.0, 0.5, False), (0.9, 0.9, False), (None, 0.0, False), (0.0, None, False),
])  # fmt: skip
def test_a_patch_that_leaves_a_poor_result_as_it_was_heals_nothing(
    was: float | None, now: float | None, still: bool
) -> None:
    before, after = run(0.2, was), run(0.95, now)
    assert still_prints(before, after) is still
    assert (compared(before, after)[0] == "undecided") is still


@pytest.mark.parametrize(("skill", "printed", "rows", "evaluation", "state"), [
    (0.95, 0.9, "", None, "learns-well"),
    (0.95, 0.05, "", None, "below-headroom"),
    (0.95, 0.3, HELD, None, "unknown"),  # it learns partly: nothing says that its rows hold more
    (0.95, 0.3, HELD, 0.95, "unknown"),  # what it prints stands for it, not what can be recomputed
    (0.95, 0.9, "", 0.05, "learns-well"),  # an evaluation that its own number denies was read wrongly
    (0.95, 0.9, "rows trained on", 0.05, "below-headroom"),  # a score of the training rows denies nothing
    (0.05, 0.9, HELD, None, "learns-well"),  # its batches are made harder than the rows of its evaluation
    (0.05, 0.9, "", None, "does-not-learn"),
])  # fmt: skip
def test_the_state_is_that_of_the_number_that_is_printed(
    skill: float, printed: float, rows: str, evaluation: float | None, state: str
) -> None:
    assert state_of(run(skill, printed, rows, evaluation)) == state


@pytest.mark.parametrize(("printed", "word"), [((0.5, 0.51), "undecided"), ((0.5, 0.8), "heals"), (None, "helps")])
def test_the_printed_score_stands_before_the_few_rows_of_an_evaluation(
    printed: tuple[float, float] | None, word: str
) -> None:
    was, now = printed or (None, None)
    before, after = run(0.47, was, "", 0.42), run(0.44, now, "", 0.58)
    assert compared(before, after)[0] == word


def test_a_patch_is_judged_by_the_printed_score_where_the_training_goes_well() -> None:
    before, after = run(0.95, 0.3, HELD), run(0.96, 0.32, HELD)
    assert still_prints(before, after) and not still_prints(before, run(0.96, 0.7, HELD))
    assert compared(before, after)[0] == "undecided"
    assert compared(before, run(0.96, 0.7, HELD))[0] == "heals"
