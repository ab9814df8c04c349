"""Snapshots are written when they are due and cheap, and read like any tape."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch

from tests.recorded import Record
from unstuck.recording.snapshots import FIRST, SHARE, Size, Snapshots
from unstuck.tape.files import RUNNING, close, is_running, load, save
from unstuck.tape.model import Tape

TRAINS = """
import torch
net = torch.nn.Linear(4, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for step in range(3):
    loss = net(torch.randn(2, 4)).square().sum()
    opt.zero_grad(); loss.backward(); opt.step()
"""


def running(tape: Tape) -> Tape:
    return msgspec.structs.replace(tape, stopped=RUNNING)


def test_a_snapshot_is_a_tape(record: Record, tmp_path: Path) -> None:
    whole, out = record(TRAINS), tmp_path / "out"
    part = msgspec.structs.replace(
        running(whole), passes=whole.passes[:1], tensors={k: t for k, t in whole.tensors.items() if k[:2] != "t:"} |
        {k: whole.tensors[k] for k in (*whole.passes[0].outside, whole.passes[0].output) if k},
    )  # fmt: skip
    tapes = iter([part, running(whole)])
    snapshots = Snapshots(out, lambda: next(tapes), lambda: Size(3, 9, 1_000, 100))
    snapshots.look(FIRST / 2)
    assert not out.exists()
    snapshots.look(FIRST)
    assert is_running(out) and len(load(out).passes) == 1
    snapshots.write()
    seen = load(out)
    assert seen.passes == whole.passes
    assert all(torch.equal(seen.tensors[k], t) for k, t in whole.tensors.items())
    close(out, "signal", "script failed: killed by SIGSEGV")
    assert (load(out).stopped, load(out).facts.cut_by) == ("script failed: killed by SIGSEGV", "signal")
    save(whole, out)
    assert not is_running(out) and load(out).stopped == whole.stopped


@pytest.mark.parametrize(
    "size", [Size(10**6, 0, 0, 0), Size(0, 10**6, 0, 0), Size(0, 0, 2**34, 0), Size(0, 0, 0, 2**34)]
)
def test_a_snapshot_that_would_cost_too_much_is_put_off(size: Size, tmp_path: Path) -> None:
    def never() -> Tape:
        raise AssertionError("it was written")

    snapshots = Snapshots(tmp_path / "out", never, lambda: size)
    for passed in (FIRST, 2 * FIRST, 8 * FIRST):
        snapshots.look(passed)
    with pytest.raises(AssertionError):
        snapshots.look(100 / SHARE)
