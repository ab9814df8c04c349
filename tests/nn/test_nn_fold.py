"""Folding computes the same function with one layer less, or says in one line why it cannot."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from unstuck.nn import ChannelPad, FoldError, MaxAbs, RobustScale, RunningStandardize, Scaling, Standardize, fold
from unstuck.tabular.moments import Moments

KINDS = st.sampled_from([Standardize, MaxAbs, RobustScale])


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def data(*shape: int, seed: int = 0) -> torch.Tensor:
    """Far from zero, differently per column, the last column constant."""
    steps = torch.arange(shape[1], dtype=torch.float64).view(-1, *[1] * (len(shape) - 2))
    x = draws(*shape, seed=seed) * (1 + steps) + 20 * steps + 5
    x[:, -1] = 3.0
    return x


def fitted(kind: type, shape, x: torch.Tensor, dims=None) -> Scaling:
    return kind(shape, dims, dtype=torch.float64).fit(x)


def same(model: nn.Module, x: torch.Tensor, left: type = nn.Identity) -> nn.Module:
    """Folded, it computes the same, holds no scaling layer, and the model itself is as before."""
    model = model.double()
    state, want = copy.deepcopy(model.state_dict()), model(x)
    folded = fold(model, example=x)
    assert not any(isinstance(m, Scaling) for m in folded.modules())
    assert any(type(m) is left for m in folded.modules())
    torch.testing.assert_close(folded(x), want, rtol=1e-10, atol=1e-10)
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    return folded


@given(KINDS, st.integers(1, 6), st.integers(1, 6), st.booleans(), st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_linear(kind: type, d: int, out: int, bias: bool, seed: int) -> None:
    x = data(20, d, seed=seed)
    same(nn.Sequential(fitted(kind, d, x), nn.Linear(d, out, bias=bias), nn.ReLU(), nn.Linear(out, 2)), x)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[int, nn.Module]:
    """A convolution of 1 to 3 axes with any stride, dilation, groups, padding and padding mode."""
    axes, groups = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    mode = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    stride = draw(st.integers(1, 2))
    padding = draw(st.sampled_from([0, 1, 2, "valid"] + ["same"] * (stride == 1)))
    torch.manual_seed(draw(st.integers(0, 999)))
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    sizes = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    made = kind(2 * groups, 2 * groups, sizes, stride=stride, padding=padding, padding_mode=mode, groups=groups,
                dilation=draw(st.integers(1, 2)), bias=draw(st.booleans()))  # fmt: skip
    return axes, made


@given(KINDS, convolutions(), st.booleans(), st.integers(0, 999))
@settings(max_examples=80, deadline=None)
def test_convolution(kind: type, drawn: tuple[int, nn.Module], per_channel: bool, seed: int) -> None:
    axes, layer = drawn
    x = data(3, layer.in_channels, *[5, 6, 7][:axes], seed=seed)
    scaling = fitted(kind, layer.in_channels, x) if per_channel else fitted(kind, (), x, ())
    model = nn.Sequential(scaling, layer, nn.Tanh()).double()
    want, folded = model(x), fold(model)
    torch.testing.assert_close(folded(x), want, rtol=1e-9, atol=1e-9)
    padded = layer.padding_mode == "zeros" and any(layer._reversed_padding_repeated_twice)
    assert isinstance(folded[0], ChannelPad if padded and scaling.center.any() else nn.Identity)
    torch.testing.assert_close(folded(x[:1]), model(x[:1]), rtol=1e-9, atol=1e-9)


def test_pictures_without_a_batch_axis() -> None:
    x = data(4, 3, 6, 6)
    model = nn.Sequential(fitted(Standardize, 3, x, -3), nn.Conv2d(3, 4, 3, padding=1))
    same(model, x, ChannelPad)
    torch.testing.assert_close(fold(model)(x[0]), model(x[0]))


@pytest.mark.parametrize(("shape", "dims"), [(3, None), ((3, 4), None), ((3, 4, 5), None), ((), ())])
@pytest.mark.parametrize("flat", [nn.Flatten(), None])
def test_through_a_flatten(shape, dims, flat: nn.Module | None) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.flat, self.fc = fitted(Standardize, shape, x, dims), flat, nn.Linear(60, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.scale(x)
            return self.fc(torch.flatten(y, 1) if self.flat is None else self.flat(y))

    x = data(8, 3, 4, 5)
    same(Net(), x)


def test_sequences_and_nested_models_and_two_in_a_row() -> None:
    x = data(8, 6, 4)
    body = nn.Sequential(fitted(Standardize, 4, x, -1), nn.Linear(4, 3))
    same(nn.Sequential(nn.Identity(), nn.ModuleDict({"body": body})["body"], nn.ReLU()), x)
    rows = data(8, 4)
    first = fitted(MaxAbs, 4, rows)
    same(nn.Sequential(first, fitted(Standardize, 4, first(rows)), nn.Identity(), nn.Linear(4, 3)), rows)
    alone = fitted(Standardize, (), rows, ())
    same(nn.Sequential(alone, nn.Linear(4, 3)), rows)


def test_names_parameters_and_modes_stay() -> None:
    x = data(20, 4)
    model = nn.Sequential(fitted(Standardize, 4, x), nn.Linear(4, 3), nn.Dropout()).double().eval()
    weight, want = model[1].weight, model(x)
    folded = fold(model, inplace=True)
    assert folded is model and model[1].weight is weight and not model.training
    assert list(folded.state_dict()) == ["1.weight", "1.bias"]
    torch.testing.assert_close(folded(x), want)


def test_only_frozen_running_layer_folds() -> None:
    x = data(20, 4)
    model = nn.Sequential(RunningStandardize(4, batches=2, dtype=torch.float64), nn.Linear(4, 3)).double()
    model(x)
    with pytest.raises(FoldError, match="not frozen"):
        fold(model)
    model(x)
    same(model, x)


def test_fold_in_float32_loses_digits_of_the_offset() -> None:
    torch.manual_seed(0)
    for offset, lost in ((0.0, 1e-6), (1e2, 1e-4), (1e4, 1e-2)):
        x = draws(200, 4).float() + offset
        model = nn.Sequential(Standardize(4).fit(x), nn.Linear(4, 8))
        assert float((fold(model)(x) - model(x)).detach().abs().max()) < lost


class Net(nn.Module):
    """A scaling and a linear layer, called as the test says."""

    def __init__(self, call, scale: nn.Module | None = None) -> None:
        super().__init__()
        self.scale, self.fc, self.other = scale or Standardize(3).fit(data(9, 3)), nn.Linear(3, 3), nn.Linear(3, 3)
        self.call = call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.call(self, x)


def _depends(net: Net, x: torch.Tensor) -> torch.Tensor:
    return net.fc(net.scale(x)) if x.sum() > 0 else x


def _hooked() -> nn.Module:
    model = nn.Sequential(Standardize(3).fit(data(9, 3)), nn.Linear(3, 3))
    model[1].register_forward_pre_hook(lambda module, args: None)
    return model


def _tied() -> nn.Module:
    model = nn.Sequential(Standardize(3).fit(data(9, 3)), nn.Linear(3, 3), nn.Linear(3, 3))
    model[2].weight = model[1].weight
    return model


SCALE = lambda **options: Standardize(3, **options).fit(data(9, 3))
PICTURES = data(4, 3, 4, 4)
REFUSED = [
    (lambda: SCALE(), "is only a scaling layer"),
    (lambda: nn.Sequential(nn.Linear(3, 3), SCALE()), "the model's output"),
    (lambda: nn.Sequential(SCALE(), nn.ReLU(), nn.Linear(3, 3)), "the next layer is ReLU"),
    (lambda: nn.Sequential(SCALE(), nn.Dropout(), nn.Linear(3, 3)), "the next layer is Dropout"),
    (lambda: nn.Sequential(SCALE(), nn.LazyLinear(3)), "the next layer is LazyLinear"),
    (lambda: nn.Sequential(Standardize(3), nn.Linear(3, 3)), "not fitted"),
    (lambda: nn.Sequential(SCALE(fill=0.0), nn.Linear(3, 3)), "fills missing values"),
    (lambda: Net(lambda n, x: n.fc(n.scale(x)) + n.scale(x)), "called 2 times"),
    (lambda: Net(lambda n, x: (y := n.scale(x), n.fc(y) + y)[1]), "used 2 times"),
    (lambda: Net(lambda n, x: n.fc(n.scale(x)) + n.fc(x)), "called 2 times"),
    (lambda: Net(lambda n, x: n.fc(n.scale(x)) @ n.fc.weight), "read directly"),
    (lambda: Net(lambda n, x: n.fc(n.scale(x) * 2)), "the next layer is mul"),
    (lambda: Net(lambda n, x: F.linear(n.scale(x), n.fc.weight)), "the next layer is linear"),
    (lambda: Net(lambda n, x: n.fc(x)), "does not call"),
    (lambda: Net(lambda n, x: n.fc(n.scale(x)) if n.training else n.fc(x)), "does not call"),
    (lambda: Net(lambda n, x: n.fc(input=n.scale(x))), "as another argument than the input"),
    (lambda: Net(lambda n, x: (n.fc if n.training else n.other)(n.scale(x))), "differently"),
    (lambda: Net(_depends), "cannot trace"),
    (_tied, "shared"),
    (_hooked, "hooks"),
    (lambda: (s := SCALE(), nn.Sequential(s, nn.Linear(3, 3), s, nn.Linear(3, 3)))[1], "shared"),
    (lambda: nn.Sequential(Standardize((3, 4, 4)).fit(PICTURES), nn.Conv2d(3, 2, 3)), "one scale per channel"),
    (lambda: nn.Sequential(Standardize(3).fit(PICTURES), nn.Linear(3, 2)), "are not the 3 inputs"),
    (lambda: nn.Sequential(Standardize(4, -1).fit(PICTURES), nn.Flatten(), nn.Linear(48, 2)), "are not the 48 inputs"),
    (lambda: nn.Sequential(Standardize(3).fit(PICTURES), Standardize(3).fit(PICTURES), nn.Conv2d(3, 2, 3, padding=1)),
     "two scaling layers"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "says"), REFUSED, ids=[says for _, says in REFUSED])
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_unfoldable_model_is_refused_and_unchanged(make, says: str) -> None:
    model = make()
    before = copy.deepcopy({k: v for k, v in model.state_dict().items() if not nn.parameter.is_lazy(v)})
    with pytest.raises(FoldError, match=says) as caught:
        fold(model, inplace=True)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(model.state_dict()[k].nan_to_num(), v.nan_to_num()) for k, v in before.items())


def test_example_detects_wrong_axes() -> None:
    moments = Moments.of(data(9, 3).numpy())
    model = nn.Sequential(Standardize.of(moments), nn.Linear(3, 2)).float()
    x = data(9, 3, 3).float()  # the scaled axis is not the one that Linear takes
    with pytest.raises(FoldError, match="on `example`"):
        fold(model, example=x)
    fold(model, example=data(9, 3).float())


def test_fold_without_scaling_returns_copy() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    folded = fold(model)
    assert folded is not model and torch.equal(folded[0].weight, model[0].weight)


def test_untraceable_part_after_the_fold() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    x = data(9, 3)
    same(nn.Sequential(fitted(Standardize, 3, x), nn.Linear(3, 3), Odd()), x)
