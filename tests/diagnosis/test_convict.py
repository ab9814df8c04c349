"""How far an experiment is played before it convicts, and what the patched script's own run spares."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis import mending
from unstuck.diagnosis.comparison import Comparison, Conviction, convicts, raised
from unstuck.diagnosis.convict import convict
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.verdict import Judgement
from unstuck.remedies.set_rate import SetRate
from unstuck.replay.bench import Bench
from unstuck.rules.catalogue import catalogue
from unstuck.tape.model import Tape

OFFSET = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(512, 4)
y = (x[:, 0] > x[:, 1]).long()
x = 5 * x + 300
model = nn.Sequential(nn.Linear(4, 16), nn.Sigmoid(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for step in range(150):
    rows = torch.randint(0, 512, (64,))
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
    loss.backward()
    optimizer.step()
"""


@dataclass
class Told:
    """A patched script of which it is known beforehand whether it outdoes the recorded one."""

    answer: bool
    asked: list[Comparison] = field(default_factory=list)

    def begin(self, comparison: Comparison) -> None:
        """Nothing is run."""

    def settles(self, comparison: Comparison) -> bool:
        """Asked where the screening was not enough: here it is."""
        raise AssertionError(comparison)

    def outdoes(self, comparison: Comparison) -> bool:
        """Asked for the best of the screening."""
        self.asked.append(comparison)
        return self.answer


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Tape:
    return tape_of(OFFSET, tmp_path_factory.mktemp("offset"))


def _convicted(tape: Tape, ahead: Told | None) -> Conviction:
    found, _ = examine(Readings(tape), {"input-offset": catalogue()["input-offset"]})
    return convict(Bench(tape), found, ahead=ahead)


def test_a_screening_that_heals_is_enough_where_the_patched_script_agrees(tape: Tape) -> None:
    ahead = Told(True)
    chosen = _convicted(tape, ahead).chosen
    assert chosen is not None
    assert ahead.asked == [chosen]
    assert chosen.share < 1


@pytest.mark.parametrize("ahead", [Told(False), None], ids=["it does not agree", "there is none"])
def test_otherwise_it_is_played_to_the_end(tape: Tape, ahead: Told | None) -> None:
    chosen = _convicted(tape, ahead).chosen
    assert chosen is not None
    assert chosen.share == 1


@pytest.mark.parametrize(("kind", "treated", "enough"), [
    ("unknown", -0.2, False), ("unknown", 0.4, True), ("regression", -0.2, True),
])  # fmt: skip
def test_a_loss_of_an_unknown_task_that_rises_less_convicts_nothing(kind: str, treated: float, enough: bool) -> None:
    played: Any = SimpleNamespace(course=SimpleNamespace(task=SimpleNamespace(kind=kind)))
    comparison = Comparison((), (), Judgement("helps", 0.004, -1.0, treated), played)
    assert convicts(comparison) is enough


@pytest.mark.parametrize(("before", "after", "far"), [
    (0.0, 0.9, True), (0.5, 0.6, False), (0.5, 0.66, True), (0.9, 0.97, False), (0.7, 0.86, True), (0.7, 0.84, False),
])  # fmt: skip
def test_a_run_that_learns_anyhow_must_be_raised_further(before: float, after: float, far: bool) -> None:
    assert raised(before, after) is far


@pytest.mark.parametrize(
    ("reached", "rate"),
    [
        ({0.06: 0.3, 0.02: 0.95, 0.007: 1.0}, 0.02),
        ({0.06: 0.3, 0.02: 0.5, 0.007: 0.9}, 0.007),
        ({0.06: 0.3, 0.02: 0.32, 0.007: 0.9}, 0.06),
        ({0.06: 0.7, 0.02: 0.95}, 0.06),
    ],
)
def test_a_rate_that_the_whole_run_does_not_bear_is_lowered_further(
    monkeypatch: pytest.MonkeyPatch, reached: dict[float, float], rate: float
) -> None:
    def tried(case: Any, answers: list[Any]) -> Any:
        final = reached[answers[0][0].rate]
        learning = SimpleNamespace(task=SimpleNamespace(kind="classes"), broke=False, final=final)
        remedies = tuple(r for r, _ in answers)
        return SimpleNamespace(remedies=remedies, faults=("lr-too-high",), ran=True, learning=learning)

    monkeypatch.setattr(mending, "_tried", tried)
    monkeypatch.setattr(mending, "of_patched", lambda case, repair: repair)
    case: Any = SimpleNamespace(late=False, proofs=[])
    first = tried(case, [(SetRate(0.3, 0.06), ())])
    assert mending._taken_further(case, first).remedies[0].rate == pytest.approx(rate)


def test_a_rate_that_was_raised_is_not_taken_further() -> None:
    assert SetRate(3.0, 0.3).further() is None
    lower = SetRate(0.5, 0.3).further()
    assert isinstance(lower, SetRate)
    assert (lower.rate, lower.factor) == pytest.approx((0.1, 1 / 6))
