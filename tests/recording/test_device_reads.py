"""Recording waits for another device as seldom as it can: reading a number stops the queue of the script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from unstuck.recording import full_steps
from unstuck.recording.gradients import Norms, left_over, total
from unstuck.recording.recorder import Recorder

READING = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.equal.default}


class Reads(TorchDispatchMode):
    """Counts the operators that need a number from the device at once."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        leaves = func is torch.ops.aten._to_copy.default and kwargs.get("device") == torch.device("cpu")
        self.count += func in READING or (leaves and args[0].device.type != "cpu")
        return func(*args, **kwargs)


def _step(device: str, layers: int = 2) -> Any:
    net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(layers))).to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x = torch.ones(8, 4, device=device)

    def step() -> None:
        loss = net(x).square().mean()
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        optimizer.step()

    return step


@pytest.mark.parametrize("scaled", [False, True])
def test_the_light_mode_reads_nothing_from_another_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scaled: bool
) -> None:
    # Tensors on torch's meta device have no numbers: whatever asks for one fails, and is counted before.
    monkeypatch.setattr(full_steps, "PASSES", 2)
    near, far = _step("cpu"), _step("meta")
    recorder = Recorder(tmp_path)
    recorder.attach()
    try:
        for _ in range(5):
            near()
        assert recorder.sampled is not None
        if scaled:
            scale = torch.ones((), device="meta")
            recorder.sampled.sampling.factor = lambda: scale
        with Reads() as reads:
            for _ in range(100):
                far()
        assert reads.count == 0
    finally:
        recorder.detach()


def test_a_recorded_step_reads_as_often_for_many_weights_as_for_few(tmp_path: Path) -> None:
    counts = []
    for layers in (2, 12):
        step = _step("cpu", layers)
        recorder = Recorder(tmp_path)
        recorder.attach()
        try:
            for _ in range(3):
                step()
            with Reads() as reads:
                step()
        finally:
            recorder.detach()
        counts.append(reads.count)
    assert counts[0] == counts[1] <= 3


def test_norms_are_taken_anew_where_a_gradient_has_changed() -> None:
    norms = Norms()
    gradients = [torch.tensor([3.0, 4.0]), None, torch.tensor([12.0])]
    assert norms.of(gradients) == [5.0, None, 12.0]
    assert total(norms.of(gradients)) == pytest.approx(13.0)
    torch._foreach_mul_([gradients[0], gradients[2]], 2.0)  # type: ignore[attr-defined]
    assert norms.of(gradients) == [10.0, None, 24.0]
    gradients[0].data[0] = 0.0  # type: ignore[index]  # torch gives no new version for it
    assert norms.of(gradients) == [8.0, None, 24.0]
    assert total([None, None]) is None


def test_an_unchanged_gradient_is_read_once() -> None:
    weight = nn.Parameter(torch.ones(3))
    weight.sum().backward()
    norms = Norms()
    first = norms.of([weight.grad])
    with Reads() as reads:
        assert norms.of([weight.grad]) == first
    assert reads.count == 0


def test_left_over_gradients_are_those_that_are_not_zero() -> None:
    late = torch.zeros(20_000)
    late[-1] = 1.0
    sparse = torch.sparse_coo_tensor(torch.tensor([[1]]), torch.tensor([2.0]), (3,))
    assert left_over([None, torch.zeros(3), torch.ones(3), late, sparse], whole=True) == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert left_over([torch.ones(20_000)], whole=False) == [True]
