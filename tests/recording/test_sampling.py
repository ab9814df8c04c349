"""Sampling, once the tape is full: every loss and rate is kept and some batches, and the run itself stays the same."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.recorded import Findings, Record
from unstuck.recording import full_steps, sampling
from unstuck.recording.tensor_store import TensorStore
from unstuck.recording.thinned import Thinned
from unstuck.signals.learning import Learning
from unstuck.signals.rates import Rates

FULL = 40
EVERY = 32
"""In these tests a tape is full after 40 passes, and one step in 32 is watched then."""

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(300, 6)
y = (x[:, :3].sum(1) > 0).long()
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, {schedule})
losses = []
for step in range({steps}):
    rows = torch.randint(0, 300, (32,))
    loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
    {late}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
    losses.append(loss.item())
with open("losses.txt", "w") as file:
    file.write(repr(losses))
"""

BY_HAND = """
import torch

torch.manual_seed(0)
x, w = torch.randn(200, 4), torch.zeros(4, 1, requires_grad=True)
y = x @ torch.ones(4, 1)
for step in range(900):
    loss = ((x @ w - y) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        w -= 0.05 * w.grad
        w.grad.zero_()
"""


@pytest.fixture(autouse=True)
def _soon_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_steps, "PASSES", FULL)
    monkeypatch.setattr(sampling, "EVERY", EVERY)


def script(steps: int = 1000, schedule: str = "lambda n: 1.0", late: str = "pass") -> str:
    return SCRIPT.format(steps=steps, schedule=schedule, late=late)


def losses(folder: Path) -> list[float]:
    return eval((folder / "losses.txt").read_text(), {"nan": math.nan})


def test_every_loss_and_rate_is_kept_and_one_batch_in_32(record: Record, tmp_path: Path) -> None:
    tape = record(script())
    assert tape.losses == pytest.approx(losses(tmp_path), rel=1e-6)
    assert len(tape.passes) == len(tape.updates) == FULL
    assert [r[0] for r in tape.facts.late_rates] == list(range(FULL, 1000))
    assert tape.late_at == tuple(range(FULL, 1000, EVERY))
    kept = losses(tmp_path)
    assert [p.loss for p in tape.late] == pytest.approx([kept[at] for at in tape.late_at])
    assert not tape.notes


def test_the_run_has_the_same_losses_and_torch_is_restored(record: Record, tmp_path: Path) -> None:
    before = torch.autograd.backward
    record(script())
    recorded = losses(tmp_path)
    assert torch.autograd.backward is before
    exec(compile(script().replace("losses.txt", str(tmp_path / "plain.txt")), "plain", "exec"), {})
    assert repr(recorded) == (tmp_path / "plain.txt").read_text()


def test_learning_is_read_over_the_whole_run(record: Record) -> None:
    learning = Learning.read(record(script()))
    assert learning.final > 0.9 > learning.skill[0]
    assert len(learning.skill) > 20


def test_a_rate_that_is_spent_after_the_tape_was_full_is_seen(record: Record, findings: Findings) -> None:
    late = script(schedule="lambda n: 1.0 if n < 300 else 0.0")
    tape = record(late.replace("y = (x[:, :3].sum(1) > 0).long()", "y = torch.randint(0, 2, (300,))"))
    assert Rates.read(tape).spent == pytest.approx(0.3, abs=0.01)
    assert findings(tape, "scheduler-misuse")


def test_a_loss_that_explodes_after_the_tape_was_full_is_seen(findings: Findings) -> None:
    (found,) = findings(script(late="loss = loss * (float('nan') if step == 700 else 1)"), "exploding-gradient")
    assert "700" in found.message


def test_updates_written_by_hand_are_sampled_too(record: Record) -> None:
    tape = record(BY_HAND)
    assert len(tape.losses) == 900
    assert tape.steps >= 890
    assert tape.late_at == tuple(range(FULL, 900, EVERY))
    assert all(p.outside and p.gradient for p in tape.late)


def test_batches_that_take_too_much_room_are_thinned(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unstuck.recording.sampling.BYTES", 8 * 32 * 8 * 4)
    tape = record(script(4000))
    bytes_kept = sum(t.numel() * t.element_size() for k, t in tape.tensors.items() if k.startswith("l:"))
    assert 0 < bytes_kept <= 8 * 32 * 8 * 4
    assert 2 <= len(tape.late) < 10
    assert tape.late_at[-1] > 2000


@given(st.integers(1, 50), st.integers(0, 3000), st.integers(1, 40))
def test_thinning_keeps_a_bounded_and_even_part(limit: int, count: int, every: int) -> None:
    series: Thinned[int] = Thinned(limit, every)
    for item in range(count):
        series.add(item)
    places = [place for place, _ in series]
    assert len(places) <= limit
    assert places == list(range(0, count, series.every))
    assert all(place == item for place, item in series)
    assert count <= every or len(places) >= min(limit, count // every) // 2


def test_a_tensor_that_was_let_go_can_be_kept_again() -> None:
    store = TensorStore()
    one, other = torch.ones(3), torch.zeros(3)
    first, second = store.keep(one), store.keep(other)
    store.only({str(second)})
    assert first not in store.tensors
    again = store.keep(one)
    assert again not in (first, second)
    assert store.tensors[str(again)].equal(one)


def test_a_run_of_one_scored_pass_has_a_last_quarter(record: Record) -> None:
    learning = Learning.read(record(script(1)))
    assert learning.passes == len(learning.skill) == 1
    assert learning.score is not None


def test_after_an_item_that_cannot_be_had_the_distance_is_kept() -> None:
    series: Thinned[int] = Thinned(10, 8)
    asked = 0
    for _ in range(64):
        if series.wants():
            asked += 1
            series.miss()
        else:
            series.skip()
    assert asked == 8
    assert not list(series)


def test_several_backwards_in_a_step_are_sampled_as_often(record: Record) -> None:
    thrice = script().replace("    loss.backward()", "    for _ in range(3):\n        loss.backward(retain_graph=True)")
    tape = record(thrice)
    assert len(tape.losses) == 3000
    assert len(tape.late) == pytest.approx((3000 - FULL) / EVERY, rel=0.15)


def test_backwards_that_no_step_follows_do_not_pile_up(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST", 100)
    monkeypatch.setattr(sampling, "LOSSES", 500)
    looking = "for _ in range(3000):\n    model(x[:4]).sum().backward()\n"
    tape = record(script(200).replace('with open("losses', looking + 'with open("losses'))
    assert tape.late_every > 1
    assert len(tape.losses) <= FULL + 500
    assert tape.steps == 200
