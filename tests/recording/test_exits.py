"""Numbers that leave tensors are kept with what they were computed from, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from tests.scripts import run
from unstuck.recording.exits import FIRST, LAST
from unstuck.tape.model import Exits, Tape

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(120, 4)
y = (x[:, 0] > 0).long()
model = nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range({epochs}):
    for rows in torch.randperm(80).split(20):
        out = model(x[rows])
        loss = nn.functional.cross_entropy(out, y[rows])
        {before}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        {after}
    right = 0
    with torch.no_grad():
        for rows in (range(80, 100), range(100, 120)):
            right += (model(x[rows]).argmax(1) == y[rows]).sum()
        {asked}
"""


def recorded(folder: Path, before: str = "", after: str = "", asked: str = "", epochs: int = 3) -> Tape:
    return tape_of(SCRIPT.format(before=before, after=after, asked=asked, epochs=epochs), folder)


def only(tape: Tape) -> Exits:
    (found,) = tape.facts.exits
    return found


@pytest.mark.parametrize("way", ["loss.item()", "float(loss)", "loss.tolist()", "f'{loss:.3f}'", "str(loss)"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_loss_leaves_its_training_step(way: str, place: str, tmp_path: Path) -> None:
    tape = recorded(tmp_path, **{place: way})
    found = only(tape)
    assert found.site is not None and found.site.line == {"before": 14, "after": 18}[place]
    assert [one.step for one in found.kept] == list(range(12))
    assert [one.value for one in found.kept] == pytest.approx([p.loss for p in tape.passes])
    assert {(one.first, one.last) for one in found.kept} == {(-1, -1)}


@pytest.mark.parametrize("way", ["right.item()", "int(right)", "(right / 40).item()", "right.numpy()"])
def test_a_count_over_two_batches_leaves_two_evaluations(way: str, tmp_path: Path) -> None:
    found = only(recorded(tmp_path, asked=way))
    assert [(one.first, one.last, one.step, one.after) for one in found.kept] == [
        (0, 1, -1, 4),
        (2, 3, -1, 8),
        (4, 5, -1, 12),
    ]


def test_an_accuracy_of_a_training_batch_belongs_to_its_step(tmp_path: Path) -> None:
    found = only(recorded(tmp_path, after="(out.argmax(1) == y[rows]).float().mean().item()"))
    assert [one.step for one in found.kept] == list(range(12))


def test_whole_answers_leave_without_a_value(tmp_path: Path) -> None:
    found = only(recorded(tmp_path, asked="model(x[80:]).argmax(1).numpy()"))
    assert {one.size for one in found.kept} == {40}
    assert all(one.value != one.value for one in found.kept)
    assert [one.first for one in found.kept] == [2, 5, 8]


def test_truth_values_and_what_depends_on_no_weight_are_no_results(tmp_path: Path) -> None:
    assert not recorded(tmp_path, asked="bool(right > 3); y.sum().item(); model.bias.tolist()").facts.exits


def test_a_long_line_of_numbers_is_thinned_but_its_sum_is_whole(tmp_path: Path) -> None:
    tape = recorded(tmp_path, after="loss.item()", epochs=250)
    found = only(tape)
    assert (found.count, len(found.kept)) == (1000, FIRST + LAST)
    assert found.kept[-1].total == pytest.approx(sum(tape.losses))


def test_each_printed_line_knows_the_numbers_before_it(tmp_path: Path) -> None:
    tape = recorded(tmp_path, after="total = loss.item()", asked="print('right', right.item())")
    assert [said.left for said in tape.said] == [5, 10, 15]


@pytest.mark.parametrize("asked", ["print('right', right.item())", "print(f'{right:d}', right)"])
def test_the_script_prints_what_it_prints_alone(asked: str, tmp_path: Path) -> None:
    text = SCRIPT.format(before="", after="", asked=asked, epochs=3)
    assert [said.line for said in tape_of(text, tmp_path).said] == run(text)[1].splitlines()


def test_an_error_of_the_script_stays_its_own(tmp_path: Path) -> None:
    tape = recorded(tmp_path, after="out.item()")
    assert tape.error is not None and "RuntimeError" in tape.error["type"]
    assert not any("recording error" in note for note in tape.notes)
