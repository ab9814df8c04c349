"""A look at a run while it trains: one line with the first suspicion, and never an end of the training."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import nn

import unstuck
from unstuck.integrations.light_watch import LightWatch


class Clock:
    """Seconds that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.net
def test_a_run_at_a_bad_rate_is_told_while_it_trains(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rows, direction = torch.randn(600, 20), torch.randn(20)
    labels, model = (rows @ direction > 0).long(), nn.Linear(20, 2)
    optimizer, said, clock = torch.optim.SGD(model.parameters(), lr=1e-6), [], Clock()
    with unstuck.watch(tmp_path) as run:
        light = LightWatch(run, said.append, first=60.0, every=3600.0, clock=clock)
        for step in range(300):
            start = step % 12 * 50
            loss = nn.functional.cross_entropy(model(rows[start : start + 50]), labels[start : start + 50])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            light.step()
        assert not said and light._child is None
        clock.now = 61.0
        light.step()
        assert light._child is not None
        deadline = time.monotonic() + 120
        while light._child is not None and time.monotonic() < deadline:
            time.sleep(0.2)
            light.step()
        light.step()
        assert light._child is None, "the next look is an hour away"
        light.close()
    assert len(said) == 1 and said[0].startswith("unstuck: ") and "lr-too-low" in said[0]


def test_a_look_that_fails_ends_the_looks_and_not_the_training(tmp_path: Path) -> None:
    class Broken(unstuck.watch):
        def so_far(self, folder: str | Path) -> bool:
            raise OSError("no space left")

    said: list[str] = []
    light = LightWatch(Broken(tmp_path), said.append, first=0.0)
    light.step()
    light.step()
    assert said == ["unstuck: the run is not watched any more: OSError: no space left"]
