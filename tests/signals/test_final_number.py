"""A printed number is followed to the evaluations, or the training steps, that it was computed from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.model import NotApplicable
from unstuck.diagnosis.whole_runs import run_of
from unstuck.signals.final_number import FinalNumber
from unstuck.tape.model import Tape

SCRIPT = """
import math
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(300, 6)
{target}
loss_of = {loss}
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, {outputs}))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
history = []
for epoch in range(4):
    total = hits = seen = 0
    for rows in torch.randperm(200).split(40):
        out = model(x[rows])
        loss = loss_of(out, y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        hits += (out.argmax(1) == y[rows]).sum().item()
        seen += len(rows)
    parts, right = [], 0
    with torch.no_grad():
        for rows in (torch.arange(200, 240), torch.arange(240, 280), torch.arange(280, 300)):
            answer = model(x[rows])
            parts.append(loss_of(answer, y[rows]).item())
            right += (answer.argmax(1) == y[rows]).sum().item()
    history.append(right / 100)
    {each}
{end}
"""
CLASSES = {
    "target": "y = (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0).long()",
    "loss": "nn.functional.cross_entropy",
    "outputs": 4,
}
VALUES = {
    "target": "y = (2 * x[:, :1] + 0.3 * torch.randn(300, 1)) * 3",
    "loss": "nn.functional.mse_loss",
    "outputs": 1,
}


def recorded(folder: Path, each: str = "", end: str = "", of: dict[str, object] = CLASSES) -> Tape:
    return tape_of(SCRIPT.format(each=each, end=end, **of), folder)


HELD, BATCHES = "rows not trained on", "training batches"


@pytest.mark.parametrize("said", [
    "print(epoch, right / 100)", "print(f'epoch {epoch}: {right}% right')", "print('wrong', 1 - right / 100)",
    "print(f'val {right / 100:.2f} loss {sum(parts) / 3:.3f}')",
    "print('accuracy', right / 100, 'train accuracy', hits / seen)",
    "print('accuracy', right / 100); print('and', hits / seen)",
])  # fmt: skip
def test_the_score_of_an_evaluation_is_found_by_what_it_was_computed_from(said: str, tmp_path: Path) -> None:
    tape = recorded(tmp_path, said)
    found = FinalNumber.read(tape)
    assert found.score > 0.8 and found.origin is not None
    assert found.origin.source.evaluations == (9, 10, 11)
    scores = run_of(tape).scores
    assert scores.printed is not None and scores.printed.rows == HELD
    assert scores.held_out == pytest.approx(found.score)


@pytest.mark.parametrize("said", [
    "print('mse', (40 * parts[0] + 40 * parts[1] + 20 * parts[2]) / 100)", "print('rmse', math.sqrt(sum(parts) / 3))",
])  # fmt: skip
def test_a_squared_error_is_told_as_the_determination_of_its_rows(said: str, tmp_path: Path) -> None:
    tape = recorded(tmp_path, said, of=VALUES)
    found = FinalNumber.read(tape)
    assert 0.5 < found.score < 1 and found.score == pytest.approx(run_of(tape).scores.held_out or 0.0)


@pytest.mark.parametrize("said", [
    "print('accuracy', hits / seen)", "print(f'loss {total / 5:.4f} accuracy {100 * hits / seen:.1f}')",
])  # fmt: skip
def test_the_score_of_training_steps_is_known_as_such(said: str, tmp_path: Path) -> None:
    scores = run_of(recorded(tmp_path, said)).scores
    assert scores.printed is not None and scores.printed.rows == BATCHES


def test_a_score_of_training_steps_never_stands_for_that_of_the_evaluation(tmp_path: Path) -> None:
    tape = recorded(tmp_path, "print('validation', right / 100); print('accuracy', hits / seen)")
    found = FinalNumber.read(tape)
    assert found.label == "validation" and found.origin is not None and not found.origin.trained


@pytest.mark.parametrize("said", [
    "print(epoch)", "print('loss', total / 5)", "print(seen, 'rows')", "print(0.5)",
    "print('test acc:', [0.2, 0.7, 0.9])", "print('test acc: [0.2 0.7')",
])  # fmt: skip
def test_other_numbers_are_no_score(said: str, tmp_path: Path) -> None:
    with pytest.raises(NotApplicable):
        FinalNumber.read(recorded(tmp_path, said))


def test_answers_that_leave_whole_are_where_a_named_score_comes_from(tmp_path: Path) -> None:
    end = "with torch.no_grad():\n    given = model(x[200:]).argmax(1).numpy()\n"
    tape = recorded(tmp_path, end=end + "print('accuracy', float((given == y[200:].numpy()).mean()))")
    scores = run_of(tape).scores
    assert scores.printed is not None and scores.printed.rows == HELD


def test_an_evaluation_of_rows_that_were_trained_on_is_told_as_that(tmp_path: Path) -> None:
    end = "with torch.no_grad():\n    share = (model(x[:200]).argmax(1) == y[:200]).float().mean().item()\n"
    scores = run_of(recorded(tmp_path, end=end + "print('accuracy', share)")).scores
    assert scores.printed is not None and scores.printed.rows == "rows trained on"


def test_a_tape_without_exits_is_read_by_its_words(tmp_path: Path) -> None:
    import msgspec

    tape = recorded(tmp_path, "print('accuracy', right / 100)")
    bare = msgspec.structs.replace(tape, facts=msgspec.structs.replace(tape.facts, exits=()))
    assert FinalNumber.read(bare).score == FinalNumber.read(tape).score
    assert FinalNumber.read(bare).origin is None


def test_answers_that_are_kept_within_bounds_are_scored_as_they_are_compared(tmp_path: Path) -> None:
    end = "print('val rmse', math.sqrt((40 * parts[0] + 40 * parts[1] + 20 * parts[2]) / 100))"
    text = SCRIPT.replace("            right += (answer.argmax(1) == y[rows]).sum().item()\n", "")
    text = text.format(**VALUES, each="", end=end)
    found = FinalNumber.read(tape_of(text.replace("loss_of(answer", "loss_of(answer.clamp(-2.0, 2.0)"), tmp_path))
    assert found.confirmed and found.score < 0.9
