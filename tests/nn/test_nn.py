"""The scaling layers: what they measure, in parts or at once, and what they do to every kind of input."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from unstuck.nn import MaxAbs, RobustScale, RunningStandardize, Standardize
from unstuck.nn.quantiles import Quantiles
from unstuck.tabular.moments import Moments

KINDS = [Standardize, MaxAbs, RobustScale]


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@st.composite
def tables(draw: st.DrawFn) -> torch.Tensor:
    n, d = draw(st.integers(2, 50)), draw(st.integers(1, 5))
    return draws(n, d, seed=draw(st.integers(0, 10**6)))


def double(kind: type, d: int, **options):
    return kind(d, dtype=torch.float64, **options)


@given(tables(), st.sampled_from([-1e3, -1.0, 1e-3, 7.0]), st.floats(-1e4, 1e4))
@settings(max_examples=40, deadline=None)
def test_scale_law_of_standardize(x: torch.Tensor, a: float, b: float) -> None:
    y = a * x + b
    plain, mapped = double(Standardize, x.shape[1]).fit(x)(x), double(Standardize, x.shape[1]).fit(y)(y)
    # the offset costs the digits that it takes up
    torch.testing.assert_close(mapped, np.sign(a) * plain, rtol=0, atol=1e-8 * (1 + abs(b / a)))


@given(tables(), st.sampled_from([1e-3, 7.0, 1e9]))
@settings(max_examples=40, deadline=None)
def test_scale_laws_of_the_others(x: torch.Tensor, a: float) -> None:
    for kind in (MaxAbs, RobustScale):
        plain, mapped = double(kind, x.shape[1]).fit(x)(x), double(kind, x.shape[1]).fit(-a * x)(-a * x)
        torch.testing.assert_close(mapped, -plain, rtol=1e-9, atol=1e-9)


@given(tables())
@settings(max_examples=40, deadline=None)
def test_statistics_of_scaled_rows(x: torch.Tensor) -> None:
    y = double(Standardize, x.shape[1]).fit(x)(x)
    torch.testing.assert_close(y.mean(0), torch.zeros_like(y[0]), atol=1e-9, rtol=0)
    torch.testing.assert_close(y.std(0, correction=0), torch.ones_like(y[0]), atol=1e-9, rtol=0)
    torch.testing.assert_close(double(MaxAbs, x.shape[1]).fit(x)(x).abs().amax(0), torch.ones_like(y[0]))
    low, middle, high = double(RobustScale, x.shape[1]).fit(x)(x).quantile(torch.tensor([0.25, 0.5, 0.75]).double(), 0)
    torch.testing.assert_close(middle, torch.zeros_like(middle), atol=1e-9, rtol=0)
    torch.testing.assert_close(high - low, torch.ones_like(middle))


@given(tables(), st.lists(st.integers(0, 50), max_size=4))
@settings(max_examples=40, deadline=None)
def test_merge_equals_whole(x: torch.Tensor, cuts: list[int]) -> None:
    for kind in KINDS:
        whole, merged = double(kind, x.shape[1]).fit(x), double(kind, x.shape[1])
        for part in torch.tensor_split(x, sorted(cuts)):
            merged.merge(double(kind, x.shape[1]).update(part))
        torch.testing.assert_close(merged.freeze()(x), whole(x), rtol=1e-9, atol=1e-9)


def test_fit_update_and_merge_agree() -> None:
    x = draws(100, 3).float()
    want = Standardize(3).fit(x)
    pairs = TensorDataset(x, torch.zeros(100))
    given = [x.numpy(), DataLoader(pairs, 7), DataLoader(x, 7, shuffle=True), pairs, list(x.split(9)),
             ((part, 0) for part in x.split(9)), {"rows": x}.values()]  # fmt: skip
    for data in given:
        got = Standardize(3).fit(data)
        torch.testing.assert_close((got.mean, got.scale), (want.mean, want.scale))
    torch.testing.assert_close(Standardize.of(Moments.of(x.numpy())).mean, want.mean)
    torch.testing.assert_close(Standardize.of(Moments.of(x.numpy()))(x), want(x))


def test_fit_keeps_random_state() -> None:
    torch.manual_seed(3)
    want = torch.rand(2)
    torch.manual_seed(3)
    Standardize(3).fit(DataLoader(draws(50, 3), 5, shuffle=True))
    assert torch.equal(torch.rand(2), want)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "dims", "size"), [
    (3, None, (8, 3)), (3, None, (8, 3, 4, 5)), ((3, 4, 5), None, (8, 3, 4, 5)), (5, -1, (8, 3, 4, 5)), (5, -1, (5,)),
    ((3, 5), (1, 3), (8, 3, 4, 5)), ((), (), (8, 3, 4)), (1, 1, (8, 1, 4, 5)), (3, -3, (3, 4, 5)),
])  # fmt: skip
def test_axes(kind: type, shape, dims, size) -> None:
    x = draws(*size) * 3 + 5
    layer = kind(shape, dims, dtype=torch.float64).fit(x)
    own = [d % x.dim() for d in layer.dims]
    columns = x.movedim(own, list(range(-len(own), 0))).reshape(-1, layer.columns)
    want = double(kind, layer.columns).fit(columns)(columns)
    got = layer(x).movedim(own, list(range(-len(own), 0))).reshape(-1, layer.columns)
    torch.testing.assert_close(got, want)
    assert layer(x).shape == x.shape


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floating_input_keeps_its_dtype(kind: type, dtype: torch.dtype) -> None:
    x = (draws(200, 4) * 20 + 90).to(dtype)
    y = kind(4).fit(x)(x)
    assert y.dtype == dtype
    want = double(kind, 4).fit(x.double())(x.double())
    torch.testing.assert_close(y.double(), want, atol=8 * torch.finfo(dtype).eps + 1e-5, rtol=torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64, torch.bool])
def test_integer_input_gets_network_dtype(dtype: torch.dtype) -> None:
    x = (draws(50, 3, 4, 4) * 100).abs().to(dtype)
    layer = Standardize(3).fit(x)
    want = Standardize(3).fit(x.float())(x.float())
    assert layer(x).dtype == torch.float32
    torch.testing.assert_close(layer(x), want)
    assert layer.half()(x).dtype == torch.float16


def test_statistics_stay_float32_in_half_precision() -> None:
    x = draws(100, 2).float() + 1e6  # beyond what float16 holds
    layer = Standardize(2).fit(x)
    want = layer(x)
    for cast in (torch.float16, torch.bfloat16):
        torch.testing.assert_close(copy.deepcopy(layer).to(cast)(x), want)
    assert layer.double().mean.dtype == torch.float64


@given(st.floats(-1e30, 1e30), st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_constant_column_becomes_zero(value: float, n: int) -> None:
    x = torch.stack([torch.full((n,), value), torch.linspace(0, 1, n)], 1)
    for layer in (Standardize(2).fit(x), RobustScale(2).fit(x), RunningStandardize(2)):
        y = layer(x)
        assert (y[:, 0] == 0).all() and y.isfinite().all()
    assert MaxAbs(1).fit(torch.zeros(3, 1))(torch.zeros(2, 1)).eq(0).all()


@pytest.mark.parametrize("kind", [*KINDS, RunningStandardize])
def test_missing_values_pass_or_are_filled(kind: type) -> None:
    x = draws(40, 2).float()
    holes = x.clone()
    holes[3, 0], holes[5, 1], holes[6, 1] = float("nan"), float("inf"), float("-inf")
    keep = holes.isfinite().all(1)
    ready = lambda layer, data: layer(data) if kind is RunningStandardize else layer.fit(data)(data)
    passed, filled = ready(kind(2), holes), ready(kind(2, fill=0.5), holes)
    assert passed.isfinite().equal(holes.isfinite())
    assert (filled[~holes.isfinite()] == 0.5).all()
    assert torch.equal(passed[keep], filled[keep])
    alone = [ready(kind(1), column[column.isfinite()][:, None])[0, 0] for column in holes.T]
    torch.testing.assert_close(passed[0], torch.stack(alone))


def test_large_offset_keeps_digits_in_float64() -> None:
    x = 1.7e9 + 1e-3 * draws(1000, 1)
    y = double(Standardize, 1).fit(x)(x)
    assert float(y.std(correction=0)) == pytest.approx(1, abs=1e-6)
    assert abs(float(y.mean())) < 1e-3


@given(st.integers(1, 3000), st.integers(0, 1000), st.sampled_from([0.0, 0.3]))
@settings(max_examples=30, deadline=None)
def test_quantile_error_bound(n: int, seed: int, gaps: float) -> None:
    rng, size = np.random.default_rng(seed), 64
    x = np.stack([rng.standard_normal(n), np.sort(rng.random(n)), rng.integers(0, 5, n)], 1)
    x[rng.random((n, 3)) < gaps] = np.nan
    sketch = Quantiles(Moments.none(3), size=size)
    for part in np.array_split(x, rng.integers(1, 40)):
        sketch = sketch.merge(Quantiles.of(part, size))
    bound = n * (len(sketch.levels) - 1) / size + 1
    assert max(len(level) for level in sketch.levels) <= size
    for share, values in zip((0.25, 0.5, 0.75), sketch.at(0.25, 0.5, 0.75), strict=True):
        for column, value in zip(x.T, values, strict=True):
            finite = column[np.isfinite(column)]
            if len(finite):
                below, upto = (finite < value).sum(), (finite <= value).sum()
                assert below - bound <= share * len(finite) <= upto + bound
    back = Quantiles.unpacked(sketch.packed(), size)
    np.testing.assert_array_equal(back.at(0.1, 0.9), sketch.at(0.1, 0.9))


def test_quantile_errors_cancel_and_weights_are_centred() -> None:
    x = np.random.default_rng(0).random((50_000, 4))
    sketch = Quantiles(Moments.none(4), size=64)
    for part in np.array_split(x, 500):
        sketch = sketch.merge(Quantiles.of(part, 64))
    off = np.abs(sketch.at(0.25, 0.5, 0.75) - [[0.25], [0.5], [0.75]])
    assert off.max() < 0.03 < len(sketch.levels) / 64 / 4
    two = Quantiles(Moments.none(1), (np.empty((0, 1)), np.array([[10.0], [20.0]])))  # each for two rows
    assert two.at(0.5) == [[15.0]]


def test_robust_scale_ignores_outliers() -> None:
    x = draws(60_000, 2)
    x[::100] = 1e12
    layer = double(RobustScale, 2).fit(x.split(1000))
    low, middle, high = np.quantile(x.numpy(), [0.25, 0.5, 0.75], axis=0)
    np.testing.assert_allclose(layer.center, middle, atol=0.005)
    np.testing.assert_allclose(1 / layer.scale, high - low, rtol=0.005)


@pytest.mark.parametrize("kind", [*KINDS, RunningStandardize])
@pytest.mark.parametrize("size", [1e-44, 1e-30, 1e30])
def test_the_smallest_and_largest_spreads_stay_finite(kind: type, size: float) -> None:
    x = (torch.arange(8.0)[:, None] - 3) * size
    layer = kind(1)
    y = layer(x) if kind is RunningStandardize else layer.fit(x)(x)
    assert y.isfinite().all() and layer.scale.isfinite().all()
    if size > 1e-37:
        torch.testing.assert_close(
            y / y[-1], (torch.arange(8.0)[:, None] - y.new_tensor(_zero(kind))) / (7 - _zero(kind))
        )


def _zero(kind: type) -> float:
    return 3.0 if kind is MaxAbs else 3.5


def test_robust_scale_of_a_mostly_constant_column_is_bounded() -> None:
    x = torch.zeros(100, 1)
    x[:10] = 1.0
    assert float(RobustScale(1).fit(x)(x).amax()) == pytest.approx(1 / (1.3489795 * 0.3), rel=1e-5)


@pytest.mark.parametrize(("make", "error", "says"), [
    (lambda: Standardize(3)(torch.zeros(2, 3)), RuntimeError, "no statistics"),
    (lambda: Standardize(3).fit(torch.zeros(2, 4)), ValueError, r"sizes \(3,\) at axes \(1,\)"),
    (lambda: Standardize(3).fit(torch.ones(2, 3))(torch.zeros(2, 1)), ValueError, "expected size 3 at axis 1"),
    (lambda: Standardize(3).fit(torch.ones(2, 3))(torch.zeros(3)), ValueError, "expected size 3 at axis 1"),
    (lambda: Standardize(3).fit([]), ValueError, "no finite number"),
    (lambda: Standardize(1).fit(torch.tensor([[float("nan")]])), ValueError, "no finite number"),
    (lambda: Standardize(1).fit([1.0, 2.0]), TypeError, "float"),
    (lambda: Standardize(1).fit("rows.csv"), TypeError, "str"),
    (lambda: Standardize(1).fit(5), TypeError, "int"),
    (lambda: Standardize(3).freeze(), ValueError, "no finite number"),
    (lambda: Standardize(3).merge(Standardize(4)), ValueError, "cannot be merged"),
    (lambda: Standardize(3).merge(MaxAbs(3)), ValueError, "cannot be merged"),
    (lambda: RobustScale(3).merge(Moments.none(3)), ValueError, "median"),
    (lambda: Standardize(3, dims=(1, 2)), ValueError, "axes"),
    (lambda: Standardize((3, 4), dims=(2, 1)), ValueError, "increase"),
    (lambda: Standardize((3, 4), dims=(-1, 1)), ValueError, "increase"),
    (lambda: Standardize(0), ValueError, "at least one"),
    (lambda: Standardize(3, dtype=torch.float16), ValueError, "float32 or float64"),
    (lambda: Standardize(3, fill=float("nan")), ValueError, "finite"),
    (lambda: Standardize(3).reduce(), RuntimeError, "init_process_group"),
    (lambda: RunningStandardize(3, batches=0), ValueError, "at least 1"),
])  # fmt: skip
def test_invalid_arguments_raise_one_line(make, error: type, says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_failed_fit_leaves_layer_unchanged() -> None:
    layer = Standardize(2).fit(draws(20, 2))
    before = layer.mean.clone(), layer.moments
    with pytest.raises(ValueError):
        layer.fit([torch.ones(5, 2), torch.ones(5, 3)])
    assert torch.equal(layer.mean, before[0]) and layer.moments is before[1]


def test_state_dict_restores_layer() -> None:
    x = draws(30, 3).float()
    for layer in (Standardize(3).fit(x), RobustScale(3).fit(x)):
        twin = type(layer)(3)
        twin.load_state_dict(layer.state_dict())
        assert torch.equal(twin(x), layer(x))
        assert torch.equal(copy.deepcopy(layer)(x), layer(x))


RANK = """
    import sys, torch, torch.distributed as dist
    from unstuck.nn import RobustScale, Standardize
    rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    dist.init_process_group("gloo", store=dist.FileStore(store, 2), rank=rank, world_size=2)
    x = torch.randn(90, 3, generator=torch.Generator().manual_seed(0)) * 5 + 40
    mine = x[:20] if rank == 0 else x[20:]
    found = [kind(3).update(mine).reduce().freeze() for kind in (Standardize, RobustScale)]
    try:
        found[0].reduce()
        raise SystemExit("reduced twice")
    except RuntimeError:
        pass
    torch.save([t for layer in found for t in (layer.center, layer.scale)], f"{out}{rank}")
    dist.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch without gloo")
def test_reduce_over_ranks_equals_whole(tmp_path: Path) -> None:
    script = tmp_path / "rank.py"
    script.write_text(textwrap.dedent(RANK))
    command = lambda rank: [sys.executable, str(script), str(rank), str(tmp_path / "store"), str(tmp_path / "out")]
    inward = os.environ | {"GLOO_SOCKET_IFNAME": "lo"}
    ranks = [subprocess.Popen(command(rank), stderr=subprocess.PIPE, env=inward) for rank in (0, 1)]
    ends = [rank.communicate(timeout=100)[1] for rank in ranks]
    if any(b"gloo" in e.lower() and b"connect" in e.lower() for e in ends):
        pytest.skip("gloo cannot pair two processes here")
    assert [rank.returncode for rank in ranks] == [0, 0], ends
    one, two = (torch.load(tmp_path / f"out{rank}", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    x = torch.randn(90, 3, generator=torch.Generator().manual_seed(0)) * 5 + 40
    whole = [t for layer in (Standardize(3).fit(x), RobustScale(3).fit(x)) for t in (layer.center, layer.scale)]
    torch.testing.assert_close(one, whole)
