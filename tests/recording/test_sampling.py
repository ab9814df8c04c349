"""The light mode: what becomes of a run once its tape is full, and that the person's run takes no notice of it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.recorded import tape_of
from unstuck.diagnosis.examine import Readings, examine
from unstuck.recording import full_steps, sampling
from unstuck.recording.tensor_store import TensorStore
from unstuck.recording.thinned import Thinned
from unstuck.rules.catalogue import catalogue
from unstuck.signals.learning import Learning
from unstuck.signals.rates import Rates
from unstuck.tape.model import Tape

FULL = 40
EVERY = 32
"""A tape of so many passes is full, in these tests, and one step in so many watched then."""

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


def faults(tape: Tape) -> set[str]:
    return {f.fault for f in examine(Readings(tape), catalogue())[0]}


def test_every_loss_and_rate_of_the_run_is_kept_and_batches_here_and_there(tmp_path: Path) -> None:
    tape = tape_of(script(), tmp_path)
    assert tape.losses == pytest.approx(losses(tmp_path), rel=1e-6)
    assert len(tape.passes) == len(tape.updates) == FULL
    assert [r[0] for r in tape.facts["late_rates"]] == list(range(FULL, 1000))
    assert tape.late_at == tuple(range(FULL, 1000, EVERY))
    kept = losses(tmp_path)
    assert [p.loss for p in tape.late] == pytest.approx([kept[at] for at in tape.late_at])
    assert not tape.notes


def test_the_run_takes_no_notice_and_torch_is_left_as_it_was(tmp_path: Path) -> None:
    before = torch.autograd.backward
    tape_of(script(), tmp_path)
    recorded = losses(tmp_path)
    assert torch.autograd.backward is before
    exec(compile(script().replace("losses.txt", str(tmp_path / "plain.txt")), "plain", "exec"), {})
    assert repr(recorded) == (tmp_path / "plain.txt").read_text()


def test_learning_is_read_over_the_whole_run(tmp_path: Path) -> None:
    learning = Learning.read(tape_of(script(), tmp_path))
    assert learning.final > 0.9 > learning.skill[0]
    assert len(learning.skill) > 20


def test_a_rate_that_is_spent_after_the_tape_was_full_is_seen(tmp_path: Path) -> None:
    late = script(schedule="lambda n: 1.0 if n < 300 else 0.0")
    tape = tape_of(late.replace("y = (x[:, :3].sum(1) > 0).long()", "y = torch.randint(0, 2, (300,))"), tmp_path)
    assert Rates.read(tape).spent == pytest.approx(0.3, abs=0.01)
    assert "scheduler-misuse" in faults(tape)


def test_a_loss_that_explodes_after_the_tape_was_full_is_seen(tmp_path: Path) -> None:
    tape = tape_of(script(late="loss = loss * (float('nan') if step == 700 else 1)"), tmp_path)
    found = [f for f in examine(Readings(tape), catalogue())[0] if f.fault == "exploding-gradient"]
    assert "from step 700 on" in found[0].message


def test_updates_written_by_hand_are_sampled_too(tmp_path: Path) -> None:
    tape = tape_of(BY_HAND, tmp_path)
    assert len(tape.losses) == 900
    assert tape.steps >= 890
    assert tape.late_at == tuple(range(FULL, 900, EVERY))
    assert all(p.outside and p.gradient for p in tape.late)


def test_batches_that_take_too_much_room_are_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unstuck.recording.sampling.BYTES", 8 * 32 * 8 * 4)
    tape = tape_of(script(4000), tmp_path)
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


def test_a_run_of_one_scored_pass_has_a_last_quarter(tmp_path: Path) -> None:
    learning = Learning.read(tape_of(script(1), tmp_path))
    assert learning.passes == len(learning.skill) == 1
    assert learning.score is not None


def test_what_is_looked_at_in_vain_is_not_looked_at_again_at_once() -> None:
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


def test_several_backwards_to_a_step_are_sampled_as_often(tmp_path: Path) -> None:
    thrice = script().replace("    loss.backward()", "    for _ in range(3):\n        loss.backward(retain_graph=True)")
    tape = tape_of(thrice, tmp_path)
    assert len(tape.losses) == 3000
    assert len(tape.late) == pytest.approx((3000 - FULL) / EVERY, rel=0.15)


def test_backwards_that_no_step_follows_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST", 100)
    monkeypatch.setattr(sampling, "LOSSES", 500)
    looking = "for _ in range(3000):\n    model(x[:4]).sum().backward()\n"
    tape = tape_of(script(200).replace('with open("losses', looking + 'with open("losses'), tmp_path)
    assert tape.late_every > 1
    assert len(tape.losses) <= FULL + 500
    assert tape.steps == 200
