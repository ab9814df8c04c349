"""`assert_learns`: it fails on a training function that does not learn, and returns what a sound one returns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from unstuck.testing import DoesNotLearn, NothingRecorded, assert_learns


def train(rate: float, clear: bool = True, epochs: int = 40) -> float:
    torch.manual_seed(0)
    rows, direction = torch.randn(600, 20), torch.randn(20)
    labels, model = (rows @ direction > 0).long(), nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    loss = torch.zeros(())
    for _ in range(epochs):
        for start in range(0, 600, 50):
            loss = nn.functional.cross_entropy(model(rows[start : start + 50]), labels[start : start + 50])
            if clear:
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return loss.item()


@pytest.mark.net
def test_a_sound_training_returns_what_it_returns() -> None:
    assert assert_learns(train, 0.5, folder=Path(__file__).parent) == train(0.5)


def test_a_broken_one_fails_with_the_report() -> None:
    with pytest.raises(DoesNotLearn, match="lr-too-low") as caught:
        assert_learns(train, 1e-5, epochs=20, folder=Path(__file__).parent)
    assert caught.value.report.diagnosis["learns"] is False
    assert_learns(train, 1e-5, epochs=20, folder=Path(__file__).parent, allow={"lr-too-low"})


def test_what_trains_nothing_is_said() -> None:
    with pytest.raises(NothingRecorded):
        assert_learns(lambda: None)
