"""Standardising while training: it learns, freezes by itself, and is done."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unstuck.nn import RunningStandardize, Standardize


def stream(batches: int, size: int, seed: int = 0) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(size, 3, generator=draw) * torch.tensor([1.0, 1e-3, 1e4]) + 92 for _ in range(batches)]


@given(st.integers(1, 12), st.integers(1, 20), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_running_equals_standardize_of_all_seen(batches: int, size: int, seed: int) -> None:
    layer, seen = RunningStandardize(3, dtype=torch.float64), Standardize(3, dtype=torch.float64)
    for batch in stream(batches, size, seed):
        out = layer(batch.double())
        want = seen.update(batch.double()).freeze()(batch.double())
        torch.testing.assert_close(out, want, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(layer.eval()(batch.double()), out)
        layer.train()


def test_freezes_after_batches() -> None:
    layer = RunningStandardize(3, batches=5, tolerance=0)
    for at, batch in enumerate(stream(8, 10)):
        before = {k: v.clone() for k, v in layer.state_dict().items()}
        assert bool(layer.frozen) == (at >= 5)
        layer(batch + at)
        if at >= 5:
            assert all(torch.equal(v, before[k]) for k, v in layer.state_dict().items())
    assert int(layer.batches) == 5


def test_freezes_when_stable_not_while_drifting() -> None:
    steady, drifting = RunningStandardize(3), RunningStandardize(3)
    for at, batch in enumerate(stream(600, 64)):
        steady(batch)
        drifting(batch * (1 + at / 20))
    assert bool(steady.frozen) and 40 <= int(steady.batches) < 600
    assert not bool(drifting.frozen)
    assert ((steady.center - 92).abs() * steady.scale < 0.05).all()


def test_eval_mode_changes_nothing() -> None:
    layer = RunningStandardize(3).eval()
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    x = stream(1, 20)[0]
    assert torch.equal(layer(x), x)
    assert all(torch.equal(v, before[k]) for k, v in layer.state_dict().items())


def test_state_round_trip_during_training() -> None:
    batches = stream(20, 16)
    whole, first, second = (RunningStandardize(3) for _ in range(3))
    for batch in batches:
        want = whole(batch)
    for batch in batches[:9]:
        first(batch)
    second.load_state_dict(first.state_dict())
    for batch in batches[9:]:
        got = second(batch)
    assert torch.equal(got, want)
    assert all(torch.equal(v, second.state_dict()[k]) for k, v in whole.state_dict().items())


def test_pictures_and_half_precision() -> None:
    x = torch.randint(0, 256, (8, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    want = Standardize(3).fit(x)(x)
    torch.testing.assert_close(RunningStandardize(3)(x), want)
    assert RunningStandardize(3).half()(x).dtype == torch.float16
    torch.testing.assert_close(RunningStandardize(3).half()(x), want.half(), atol=2e-3, rtol=0)


def test_two_forwards_before_one_backward() -> None:
    layer, x = RunningStandardize(2), torch.ones(4, 2, requires_grad=True)
    (layer(x * torch.rand(4, 2)).sum() + layer(x * torch.rand(4, 2)).sum()).backward()
    assert x.grad is not None and x.grad.isfinite().all()


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_torchscript_equals_eager() -> None:
    plain, scripted = RunningStandardize(3, batches=6), torch.jit.script(RunningStandardize(3, batches=6))
    for batch in stream(8, 10):
        assert torch.equal(plain(batch), scripted(batch))
    assert bool(scripted.frozen)
    assert torch.equal(plain.eval()(batch), scripted.eval()(batch))


def test_compiled_layer_equals_eager() -> None:
    plain, other = RunningStandardize(3, batches=4), RunningStandardize(3, batches=4)
    compiled = torch.compile(other, backend="eager", fullgraph=True)
    for batch in stream(6, 10):
        torch.testing.assert_close(compiled(batch), plain(batch))
    assert bool(other.frozen)


def test_rows_are_independent_once_frozen() -> None:
    layer = RunningStandardize(3, batches=1)
    batch = stream(1, 10)[0]
    layer(batch)
    torch.testing.assert_close(layer(batch)[:2], layer(batch[:2]))
