"""Optimizers that are rebuilt in each step: recorded, replayed, found and kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.recorded import tape_of
from tests.scripts import edited, run
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.model import Finding
from unstuck.remedies.keep_optimizer import KeepOptimizer
from unstuck.remedies.treatment import CannotApply, CannotEdit
from unstuck.replay.bench import Bench
from unstuck.rules.catalogue import catalogue
from unstuck.tape.model import Tape

TURNS = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(300, 5)
y = (x[:, 0] * x[:, 1] > 0).long()
{head}
for step in range(60):
    rows = torch.randint(0, 300, (30,))
    {get}
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net(x[rows]), y[rows])
    loss.backward()
    optimizer.step()
"""
NET = "net = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 2))"
MADE = "torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)"
TABLE = f"{NET}\nKINDS = {{'sgd': lambda net: {MADE}}}"
EACH_TIME = TURNS.format(head=TABLE, get="optimizer = KINDS['sgd'](net)")
ONCE = TURNS.format(head=f"{NET}\noptimizer = {MADE}", get="pass")
RUNNER = """
class Runner:
    def __init__(self, net):
        self.net = net

    {decorator}
    def optimizer(self):
        {body}


net = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 2))
runner = Runner(net)
"""
PROPERTY = TURNS.format(
    head="def make(net):\n    return getattr(torch.optim, 'SGD')(net.parameters(), lr=0.05, momentum=0.9)\n"
    + RUNNER.format(decorator="@property", body="return make(self.net)"),
    get="optimizer = runner.optimizer",
)
METHOD = TURNS.format(
    head=RUNNER.format(
        decorator="# anew", body=f"self.made = {MADE.replace('net.', 'self.net.')}\n        return self.made"
    ),
    get="optimizer = runner.optimizer()",
)


def _losses(tape: Tape) -> list[float]:
    return [p.loss for p in tape.passes]


def _found(tape: Tape) -> list[Finding]:
    found, _ = examine(Readings(tape), {"optimizer-reset": catalogue()["optimizer-reset"]})
    return found


def test_rebuilt_optimizers_are_recorded_as_one(tmp_path: Path) -> None:
    tape = tape_of(EACH_TIME, tmp_path)
    (optimizer,) = tape.optimizers
    assert optimizer.created == 60
    assert [u.fresh for u in tape.updates] == [False] + 59 * [True]


def test_replay_resets_the_optimizer_and_the_remedy_keeps_it(tmp_path: Path) -> None:
    tape, kept = tape_of(EACH_TIME, tmp_path), tape_of(ONCE, tmp_path)
    bench = Bench(tape)
    lane = lambda played: torch.stack(played.losses)[:, 0].tolist()
    assert lane(bench.written) == pytest.approx(_losses(tape), rel=1e-4)
    assert lane(bench.treat([KeepOptimizer()])) == pytest.approx(_losses(kept), rel=1e-4)


def test_reset_behind_a_property_is_seen_on_the_tape(tmp_path: Path) -> None:
    (finding,) = _found(tape_of(PROPERTY, tmp_path))
    assert finding.remedies == (KeepOptimizer(),)


def test_single_optimizer_is_not_reported(tmp_path: Path) -> None:
    tape = tape_of(ONCE, tmp_path)
    assert _found(tape) == []
    with pytest.raises(CannotApply):
        Bench(tape).treat([KeepOptimizer()])


def test_alternating_optimizers_stay_two(tmp_path: Path) -> None:
    head = f"{NET}\nboth = [{MADE}, {MADE}]"
    tape = tape_of(TURNS.format(head=head, get="optimizer = both[step % 2]"), tmp_path)
    assert [o.created for o in tape.optimizers] == [1, 1]
    assert not any(u.fresh for u in tape.updates)


def test_three_phases_are_not_reported(tmp_path: Path) -> None:
    text = TURNS.format(head=NET, get=f"optimizer = {MADE} if step % 20 == 0 else optimizer")
    tape = tape_of(text, tmp_path)
    assert [o.created for o in tape.optimizers] == [3]
    assert not any(f.remedies == (KeepOptimizer(),) for f in _found(tape))


@pytest.mark.parametrize(("text", "expected"), [
    (PROPERTY, "    @functools.cached_property\n    def optimizer"),
    (METHOD, '        if not hasattr(self, "made"):\n            self.made = torch.optim.SGD('),
])  # fmt: skip
def test_patch_keeps_one_optimizer(text: str, expected: str, tmp_path: Path) -> None:
    new = edited(KeepOptimizer(), text)
    assert expected in new
    run(new)
    assert _losses(tape_of(new, tmp_path)) == pytest.approx(_losses(tape_of(ONCE, tmp_path)))


def test_nothing_is_edited_if_nothing_rebuilds_it() -> None:
    with pytest.raises(CannotEdit, match="0 places"):
        edited(KeepOptimizer(), ONCE)
