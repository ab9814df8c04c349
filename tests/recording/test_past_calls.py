"""What a step has made does not outlive it, and a later backward that reaches it is recorded all the same."""

from __future__ import annotations

import weakref
from pathlib import Path

import pytest
import torch
from torch import nn

from unstuck.recording.past_calls import SMALL
from unstuck.recording.recorder import Recorder
from unstuck.tape.model import Tape


def _tape(recorder: Recorder) -> Tape:
    return recorder.tape("train.py", "script ended")


def test_activations_are_let_go_before_the_backward_ends(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, out = nn.Linear(8, 256), nn.Linear(256, 1)
    optimizer = torch.optim.SGD([*net.parameters(), *out.parameters()], lr=0.01)
    recorder = Recorder(tmp_path)
    recorder.attach()
    seen: list[tuple[bool, bool]] = []

    def step() -> None:
        hidden = net(torch.ones(512, 8))
        alive = weakref.ref(hidden)
        loss = out(torch.tanh(hidden)).square().mean()
        del hidden
        during: list[bool] = []
        net.weight.register_hook(lambda _: during.append(alive() is not None))
        optimizer.zero_grad()
        loss.backward()
        seen.append((during[-1], alive() is not None))
        optimizer.step()

    assert SMALL < 512 * 256
    try:
        for _ in range(3):
            step()
    finally:
        recorder.detach()
    assert seen == [(False, False)] * 3
    assert len(_tape(recorder).passes) == 3


@pytest.mark.parametrize("rows", [4, 512])
def test_a_backward_that_reaches_an_earlier_step_has_its_calls(tmp_path: Path, rows: int) -> None:
    torch.manual_seed(0)
    trunk, one, two = nn.Linear(8, 256), nn.Linear(256, 1), nn.Linear(256, 1)
    y = torch.randn(rows, 1)
    optimizer = torch.optim.SGD([*trunk.parameters(), *one.parameters(), *two.parameters()], lr=0.01)
    recorder = Recorder(tmp_path)
    recorder.attach()
    try:
        for _ in range(8):
            hidden = torch.tanh(trunk(torch.ones(rows, 8)))
            optimizer.zero_grad()
            nn.functional.mse_loss(one(hidden), y).backward(retain_graph=True)
            late = two(hidden)
            del hidden
            nn.functional.mse_loss(late, y).backward()
            optimizer.step()
    finally:
        recorder.detach()
    tape = _tape(recorder)
    assert len(tape.passes) == 16
    for number in {p.program for p in tape.passes}:
        program = tape.programs[number]
        assert program.missing == ""
        assert [c.name for c in program.calls] == ["linear", "tanh", "linear", "mse_loss"]
    assert all(p.output for p in tape.passes)
