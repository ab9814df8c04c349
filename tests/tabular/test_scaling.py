"""The scaling law: recipes that are called equivalent walk the same path, step by step."""

from __future__ import annotations

import doctest
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path as File
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import unstuck
from tests.tabular.recipe_runs import FEATURES, HIDDEN, Path, apart, batches, network, walk
from unstuck.tabular.scaling import (
    Layer,
    NotEquivalent,
    Recipe,
    Share,
    balanced,
    deviation,
    equivalent,
    realise,
    rescaled,
)
from unstuck.tabular.scaling.units import DEFAULTS, GRADIENT, PULL, STEP, UNITS, WEIGHT, Unit, unit_of

SAME = 1e-9
STEPS = 200
SPREAD = (1e-2, 3.0, -50.0, 1e-2, 700.0, -50.0)
"""Scales of the six features, two of them mirrored."""

RULES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "sgd": ("sgd", {"lr": 0.2, "momentum": 0.0, "weight_decay": 0.0}),
    "sgd momentum": ("sgd", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 1e-2}),
    "sgd nesterov": ("sgd", {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-2, "nesterov": True}),
    "adam": ("adam", {"lr": 0.01, "eps": 1e-8, "weight_decay": 0.0}),
    "adam large eps": ("adam", {"lr": 0.02, "eps": 1e-2, "weight_decay": 1e-2, "amsgrad": True}),
    "adamw": ("adamw", {"lr": 0.01, "eps": 1e-4, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    "nadam": ("nadam", {"lr": 0.01, "eps": 1e-4, "weight_decay": 1e-2}),
    "nadam decoupled": ("nadam", {"lr": 0.01, "eps": 1e-4, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    "adamax": ("adamax", {"lr": 0.01, "eps": 1e-3, "weight_decay": 1e-2}),
    "rmsprop": ("rmsprop", {"lr": 0.003, "eps": 1e-3, "weight_decay": 1e-2}),
    "rmsprop centred": ("rmsprop", {"lr": 1e-3, "eps": 1e-4, "weight_decay": 0, "centered": True, "momentum": 0.9}),
    "adagrad": ("adagrad", {"lr": 0.1, "eps": 1e-3, "weight_decay": 1e-2, "initial_accumulator_value": 0.1}),
    "adadelta": ("adadelta", {"lr": 1.0, "eps": 1e-4, "weight_decay": 1e-2}),
    "rprop": ("rprop", {"lr": 1e-3, "step_sizes": (1e-6, 0.05)}),
    "asgd": ("asgd", {"lr": 0.1, "lambd": 1e-2, "weight_decay": 1e-2}),
}
ASKER = Recipe.sgd(lr=0.02, momentum=0.9, weight_decay=1e-4)


@pytest.fixture(autouse=True)
def float64(request: pytest.FixtureRequest) -> Any:
    """ASGD keeps its rate in the default dtype, so the default must be the one that is compared."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("rule", RULES)
def test_one_scale_without_biases(rule: str) -> None:
    recipe = Recipe.plain(*RULES[rule])
    plain = walk(recipe, steps=STEPS)
    assert apart(plain, walk(equivalent(recipe, input_scale=255), lambda x: 255 * x, steps=STEPS)) < SAME
    assert plain.losses[-20:].mean() < 0.9 * plain.losses[:20].mean(), "a path that goes nowhere shows nothing"


@pytest.mark.parametrize("rule", RULES)
def test_a_scale_per_feature_with_biases(rule: str) -> None:
    recipe, scale = Recipe.plain(*RULES[rule], bias=True), torch.tensor(SPREAD)
    told = walk(equivalent(recipe, input_scale=SPREAD), lambda x: x * scale, steps=STEPS)
    assert apart(walk(recipe, steps=STEPS), told) < SAME


@pytest.mark.parametrize("rule", ["sgd momentum", "adam large eps", "adamw"])
def test_ascent_a_schedule_and_a_scaled_loss_change_nothing(rule: str) -> None:
    method, given_settings = RULES[rule]
    recipe = Recipe.plain(method, {**given_settings, "maximize": True})
    falling = lambda step: 0.99**step
    told = equivalent(recipe, input_scale=0.01, loss_scale=16.0)
    plain = walk(recipe, steps=STEPS, schedule=falling, loss_scale=-1.0)
    assert apart(plain, walk(told, lambda x: x * 0.01, steps=STEPS, schedule=falling, loss_scale=-16.0)) < SAME


@settings(max_examples=8)
@given(exponent=st.floats(-3, 3), mirrored=st.booleans(), rule=st.sampled_from(["sgd momentum", "adam large eps"]))
def test_any_scale(exponent: float, mirrored: bool, rule: str) -> None:
    scale = (-1 if mirrored else 1) * 10**exponent
    recipe = Recipe.plain(*RULES[rule], bias=True)
    told = walk(equivalent(recipe, input_scale=scale), lambda x: x * scale, steps=60)
    assert apart(walk(recipe, steps=60), told) < SAME


@settings(max_examples=30)
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.sampled_from(sorted(RULES)))
def test_scales_compose_and_undo_each_other(one: float, other: float, rule: str) -> None:
    recipe = Recipe.plain(*RULES[rule], bias=True)
    assert close(equivalent(equivalent(recipe, one), other), equivalent(recipe, one * other))
    assert close(equivalent(equivalent(recipe, one), 1 / one), recipe)


def test_a_convolution_with_padding_by_channel() -> None:
    scale = torch.tensor([255.0, 0.1]).reshape(2, 1, 1)
    recipe = Recipe.plain("adam", {"lr": 0.01, "eps": 1e-6, "weight_decay": 1e-2}, bias=True)

    def pictures(factor: torch.Tensor | float, own: Recipe) -> Path:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(2, 4, 2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 2 * 4, 3))
        return walk(own, lambda x: x.reshape(-1, 2, 1, 3) * factor, model, steps=100)

    told = equivalent(recipe, input_scale=scale.flatten())
    assert apart(pictures(1.0, recipe), pictures(scale, told)) < SAME


def test_a_norm_clipped_layer_by_layer() -> None:
    recipe = Recipe.sgd(lr=0.1, momentum=0.9)

    def clipped(bound: float) -> Any:
        return lambda model: nn.utils.clip_grad_norm_([model[0].weight], bound)

    plain = walk(recipe, steps=STEPS, before_step=clipped(0.02))
    told = walk(equivalent(recipe, 255), lambda x: 255 * x, steps=STEPS, before_step=clipped(255 * 0.02))
    # torch adds 1e-6 to the norm, an epsilon that was not scaled.
    assert apart(plain, told) < 1e-3
    assert apart(plain, walk(recipe, steps=STEPS)) > 1e-2, "the bound never acts"


# --- the founding story, in float32 and to the bit where the factors are powers of two ---


def exact(recipe: Recipe, scale: float = 1.0) -> Path:
    """200 steps in float32."""
    return walk(recipe, lambda x: x * scale, network(False, torch.float32), steps=200)


def identical(one: Path, other: Path, factors: tuple[float, float] = (1.0, 1.0)) -> bool:
    """Whether losses, outputs and the weights times their factors agree to the last bit."""
    weights = all(torch.equal(a, b * f) for a, b, f in zip(one.final, other.final, factors, strict=True))
    return torch.equal(one.losses, other.losses) and torch.equal(one.outputs, other.outputs) and weights


def test_powers_of_two_are_exact_to_the_bit() -> None:
    assert identical(exact(ASKER), exact(equivalent(ASKER, 256), 256), (256, 1))


def test_the_askers_three_runs_are_the_baseline_with_other_initial_weights() -> None:
    slow = ASKER.times(0, lr=1 / 256).times(1, lr=1 / 256)
    both = slow.times(0, init=1 / 256).times(1, init=1 / 256)
    first = slow.times(0, init=1 / 256)
    for run, inits in ((slow, (16, 16)), (both, (1 / 16, 1 / 16)), (first, (1 / 16, 16))):
        told = balanced(equivalent(run, 1 / 256))
        expected = ASKER.times(0, init=inits[0], weight_decay=1 / 256).times(1, init=inits[1], weight_decay=1 / 256)
        assert close(told, expected)
        # 256 times between the first layers, of which ReLU's symmetry hands 16 on to the second
        assert identical(exact(expected), exact(run, 256), (16, 16))


def test_the_askers_columns() -> None:
    runs = {
        "x*255": ((1, 1), (1, 1)),
        "lr/c": ((1, 1), (1 / 255, 1 / 255)),
        "both W/c, lr/c": ((1 / 255, 1 / 255), (1 / 255, 1 / 255)),
        "W1/c, lr/c both": ((1 / 255, 1), (1 / 255, 1 / 255)),
        "W1/c, lr/c layer 1 only": ((1 / 255, 1), (1 / 255, 1)),
        "lr/c layer 1 only": ((1, 1), (1 / 255, 1)),
        "lr/c^2 both": ((1, 1), (255**-2, 255**-2)),
        "W1/c, lr/c^2 both": ((1 / 255, 1), (255**-2, 255**-2)),
    }
    expected = {
        "x*255": ((255, 1), (65025, 1)),
        "lr/c": ((255, 1), (255, 1 / 255)),
        "both W/c, lr/c": ((1, 1 / 255), (255, 1 / 255)),
        "W1/c, lr/c both": ((1, 1), (255, 1 / 255)),
        "W1/c, lr/c layer 1 only": ((1, 1), (255, 1)),
        "lr/c layer 1 only": ((255, 1), (255, 1)),
        "lr/c^2 both": ((255, 1), (1, 1 / 65025)),
        "W1/c, lr/c^2 both": ((1, 1), (1, 1 / 65025)),
    }
    for name, (inits, rates) in runs.items():
        run = ASKER.times(0, init=inits[0], lr=rates[0]).times(1, init=inits[1], lr=rates[1])
        told = equivalent(run, input_scale=1 / 255)
        assert [layer.weight.init for layer in told.layers] == pytest.approx(expected[name][0]), name
        assert [layer.weight.lr / 0.02 for layer in told.layers] == pytest.approx(expected[name][1]), name
        assert told.layers[0].weight.weight_decay == pytest.approx(1e-4 / 65025)


def test_raising_the_scale_raises_the_first_layers_rate_by_its_square() -> None:
    raw = walk(ASKER, lambda x: x * 255, steps=STEPS)
    told = walk(ASKER.times(0, init=255, lr=255**2, weight_decay=255**-2), steps=STEPS)
    assert apart(told, raw) < SAME
    assert apart(walk(ASKER, steps=STEPS), raw) > 1


def test_for_adam_the_rate_only_rises_by_the_scale() -> None:
    adam = Recipe.adam(lr=1e-3, weight_decay=1e-3)
    raw = walk(adam, lambda x: x * 255, steps=STEPS)
    told = adam.times(0, init=255, lr=255, eps=1 / 255, weight_decay=255**-2)
    assert apart(walk(told, steps=STEPS), raw) < SAME


# --- the second symmetry ---


@pytest.mark.parametrize("rule", ["sgd momentum", "adam large eps", "adamw", "adadelta", "rprop"])
@pytest.mark.parametrize("bias", [False, True])
def test_relu_passes_a_factor(rule: str, bias: bool) -> None:
    recipe = Recipe.plain(*RULES[rule], bias=bias)
    plain, told = walk(recipe, steps=STEPS), walk(rescaled(recipe, by=16.3), steps=STEPS)
    assert apart(plain, told) < SAME
    factors = (1 / 16.3, 1 / 16.3, 16.3, 1) if bias else (1 / 16.3, 16.3)
    for before, after, factor in zip(plain.final, told.final, factors, strict=True):
        torch.testing.assert_close(after, before * factor, rtol=1e-9, atol=1e-12)


def deep() -> nn.Sequential:
    """Three layers with biases and leaky activations."""
    torch.manual_seed(1)
    linear = [nn.Linear(FEATURES, HIDDEN), nn.Linear(HIDDEN, 5), nn.Linear(5, 3)]
    return nn.Sequential(linear[0], nn.LeakyReLU(0.1), linear[1], nn.ReLU(), linear[2])


@pytest.mark.parametrize("method, decay", [("sgd", 1e-2), ("adam", 1e-2)])
def test_balanced_recipe_has_one_rate_and_the_same_path(method: str, decay: float) -> None:
    recipe = Recipe.plain(method, {"lr": 0.02, "weight_decay": decay}, layers=3, bias=True, activation="leaky_relu")
    uneven = recipe.times(0, lr=8.0).times(1, lr=0.2).times(2, init=3.0)
    told = balanced(uneven)
    rates = [layer.weight.lr for layer in told.layers]
    assert rates == pytest.approx([rates[0]] * 3)
    assert math.prod(layer.weight.init for layer in told.layers) == pytest.approx(3.0)
    assert apart(walk(uneven, model=deep(), steps=STEPS), walk(told, model=deep(), steps=STEPS)) < SAME


# --- what breaks it ---


def first_step(recipe: Recipe, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The first layer's first step, and the gradient that it had on x."""
    model, gradients = network(True), []
    before = model[0].weight.detach() / scale
    path = walk(recipe, lambda x: x * scale, model, 1, lambda model: gradients.append(model[0].weight.grad.clone()))
    return path.final[0] - before, gradients[0] / scale


@pytest.mark.parametrize("scale", [255.0, 1 / 255, -7.0])
@pytest.mark.parametrize("method, running", [("adam", 1.0), ("adamw", 1.0), ("rmsprop", 0.1), ("adagrad", 1.0)])
def test_deviation_predicts_unchanged_epsilon(scale: float, method: str, running: float) -> None:
    recipe = Recipe.plain(method, {"lr": 0.01, "eps": 1e-3, "weight_decay": 0.0}, bias=True)
    told = equivalent(recipe, scale)
    exact, gradient = first_step(told, scale)
    kept, _ = first_step(told.times(0, eps=1 / abs(scale)), scale)
    # RMSprop's running size after one step is sqrt(1 - alpha) of the gradient's
    foretold = deviation(recipe, running * gradient.numpy(), scale)
    assert (kept / exact - 1).numpy() == pytest.approx(foretold.each, rel=1e-6, abs=1e-9)
    assert 1e-3 < foretold.median < foretold.worst < foretold.limit


def test_unchanged_epsilon_changes_the_path() -> None:
    recipe = Recipe.adam(lr=0.01, eps=1e-4)
    told = equivalent(recipe, 255)
    plain = walk(recipe, steps=STEPS)
    kept = walk(told.times(0, eps=1 / 255), lambda x: 255 * x, steps=STEPS)
    assert apart(plain, kept) > 1e-3
    assert apart(plain, walk(told, lambda x: 255 * x, steps=STEPS)) < SAME


def test_no_deviation_without_an_epsilon_or_a_scale() -> None:
    assert deviation(Recipe.adam(eps=0.0), [0.0, 1.0], 255).worst == 0
    assert deviation(Recipe.adam(), [0.0, 1.0], 1).worst == 0
    assert deviation(Recipe.adam(), [0.0], 255).worst == pytest.approx(254), "a gradient of zero reaches the limit"
    with pytest.raises(NotEquivalent, match="sgd adds no epsilon"):
        deviation(ASKER, [1.0], 255)


@pytest.mark.parametrize("power", [1, 2])
def test_radam_has_no_recipe(power: int) -> None:
    with pytest.raises(NotEquivalent, match="before the switch"):
        equivalent(Recipe.plain("radam", {"lr": 1e-3, "eps": 1e-8}), 8)

    def trained(scale: float, rate: float) -> torch.Tensor:
        model = network(False)
        with torch.no_grad():
            model[0].weight /= scale
        groups = [{"params": [model[0].weight], "lr": rate, "eps": 1e-8 * scale}, {"params": [model[2].weight]}]
        optimizer = torch.optim.RAdam(groups, lr=1e-2)
        for x, y in batches(20):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x * scale), y).backward()
            optimizer.step()
        return model[0].weight.detach() * scale

    # one power of the scale is right after the switch, the other before it; neither all the way
    difference = trained(8.0, 1e-2 / 8**power) - trained(1.0, 1e-2)
    assert difference.abs().max() > 1e-3


@pytest.mark.parametrize(
    "refused, reason",
    [
        (lambda: equivalent(ASKER, 0.0), "must not be 0"),
        (lambda: equivalent(ASKER, loss_scale=-1.0), "loss_scale must be positive"),
        (lambda: equivalent(Recipe.plain("lbfgs", {"lr": 1.0}), 2.0), "every layer"),
        (lambda: equivalent(Recipe.plain("lion", {"lr": 1.0}), 2.0), "lion's settings are unknown"),
        (lambda: equivalent(Recipe("sgd", ASKER.layers, clip_norm=1.0), 2.0), "clip_norm bounds"),
        (lambda: rescaled(Recipe.sgd(lr=0.1, activation="sigmoid"), by=2.0), "sigmoid"),
        (lambda: balanced(ASKER.times(0, lr=0.0)), "positive learning rate"),
        (lambda: equivalent(ASKER, input_offset=1.0), "needs a bias"),
    ],
)
def test_not_equivalent_gives_the_reason(refused: Any, reason: str) -> None:
    with pytest.raises(NotEquivalent, match=reason):
        refused()


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda: equivalent(ASKER, float("nan")), "finite number"),
        (lambda: equivalent(ASKER, [1.0, 2.0], [0.0, 0.0, 0.0]), "2 and 3 features"),
        (lambda: rescaled(ASKER, by=-1.0), "positive"),
        (lambda: rescaled(ASKER, by=2.0, at=1), "no layer after"),
        (lambda: ASKER.times(0, rate=2.0), "no such setting: rate"),
        (lambda: equivalent(Recipe("adam", (Layer(Share({"lr": 0.1})),)), 2.0), "no such setting: eps, weight_decay"),
        (lambda: realise(equivalent(ASKER, [1.0, 2.0]), network(False)), "2 features, the first layer 6"),
        (lambda: realise(Recipe.sgd(lr=1.0, layers=3), network(False)), "3 layers, the model 2"),
    ],
)
def test_wrong_arguments_are_named(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


def test_a_clipped_norm_only_follows_the_losses_scale() -> None:
    assert equivalent(Recipe("sgd", ASKER.layers, clip_norm=1.0), loss_scale=8.0).clip_norm == 8.0


# --- between recipes and torch ---


@pytest.mark.parametrize("method", sorted(UNITS))
def test_settings_with_a_unit_have_torchs_defaults(method: str) -> None:
    (class_,) = [c for name, c in vars(torch.optim).items() if name.lower() == method and isinstance(c, type)]
    defaults = class_([torch.zeros(1)]).defaults
    assert {name: defaults[name] for name in DEFAULTS[method]} == DEFAULTS[method]
    assert UNITS[method].keys() == DEFAULTS[method].keys()


def test_a_recipe_is_read_from_a_training_run_and_put_back() -> None:
    model = network(True)
    groups = [{"params": [model[0].weight], "lr": 0.5}, {"params": [model[2].weight, model[2].bias]}]
    optimizer = torch.optim.AdamW(groups, lr=0.1, weight_decay=0.01)
    recipe = Recipe.of(optimizer, model)
    assert recipe.method == "adamw"
    assert [layer.activation for layer in recipe.layers] == ["relu", "identity"]
    first = recipe.layers[0]
    assert first.bias is not None
    assert (first.weight.lr, first.bias.lr, recipe.layers[1].weight.lr) == (0.5, 0.0, 0.1)
    told = equivalent(recipe, 4.0).layers[0].weight
    assert (told.lr, told.eps, told.weight_decay) == pytest.approx((0.125, 4e-8, 0.04))
    again = Recipe.of(realise(recipe, model), model)
    assert close(again, recipe)


@pytest.mark.parametrize(
    "model, reason",
    [
        (lambda: nn.Sequential(nn.Sigmoid(), nn.Linear(2, 1)), "through a linear layer"),
        (lambda: nn.Sequential(nn.Dropout(), nn.Linear(2, 1)), "through a linear layer"),
        (lambda: nn.Sequential(nn.LSTM(2, 2)), "not LSTM"),
        (lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 1))), "not ParametrizedLinear"),
        (lambda: nn.Sequential(*[nn.Linear(2, 2)] * 2), "used twice"),
    ],
)
def test_models_other_than_chains_are_refused(model: Any, reason: str) -> None:
    made = model()
    parameters = list(made.parameters()) or [torch.zeros(1)]
    with pytest.raises(NotEquivalent, match=reason):
        Recipe.of(torch.optim.SGD(parameters, lr=0.1), made)


def test_activations_between_layers_are_read() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 2), nn.LayerNorm(2), nn.ReLU(), nn.Linear(2, 1))
    recipe = Recipe.of(torch.optim.SGD(model.parameters(), lr=0.1), model)
    assert [layer.kind for layer in recipe.layers] == ["linear", "linear", "norm", "linear"]
    for at in range(3):
        with pytest.raises(NotEquivalent, match="does not pass a factor"):
            rescaled(recipe, by=2.0, at=at)


def test_columns_with_equal_settings_share_a_group() -> None:
    model = network(False)
    optimizer = realise(equivalent(Recipe.adam(), [2.0, 1.0, 2.0, 1.0, 1.0, 2.0]), model)
    shapes = [tuple(p.shape) for group in optimizer.param_groups for p in group["params"]]
    assert shapes == [(HIDDEN, 3), (HIDDEN, 3), (3, HIDDEN)]
    assert model[0].weight.shape == (HIDDEN, FEATURES)


def test_a_recipe_in_words() -> None:
    words = str(equivalent(Recipe.adam(bias=True, weight_decay=0.5), [10.0, 1.0]))
    assert "layer 1 weight: initial values x 0.1 to 1 by feature, lr 0.0001 to 0.001 by feature" in words
    assert "layer 2 bias: initial values x 1, lr 0.001, weight_decay 0.5, eps 1e-08" in words


def test_importing_the_package_loads_no_torch() -> None:
    program = """
import sys, unstuck
assert not {"torch", "numpy"} & set(sys.modules), "the bare package"
unstuck.equivalent(unstuck.Recipe.sgd(lr=0.02), input_scale=255)
assert "torch" not in sys.modules, "the law"
assert {"Classifier", "Recipe", "equivalent"} <= set(dir(unstuck))
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        unstuck.nonsense  # noqa: B018


def close(one: Recipe, other: Recipe) -> bool:
    """Whether all settings agree to rounding."""

    def numbers(recipe: Recipe) -> list[Any]:
        shares = [share for layer in recipe.layers for _, share in layer.shares()]
        values = [value for share in shares for value in (*share.settings.values(), share.init)]
        flat = [number for value in values for number in (value if isinstance(value, tuple) else (value,))]
        return [-1 if value is None else value for value in flat]

    return one.method == other.method and numbers(one) == pytest.approx(numbers(other), rel=1e-9, abs=0.0)


# --- the page ---

PAGE = File(__file__).resolve().parents[2] / "docs" / "scaling-law.md"


def test_page_examples() -> None:
    assert doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_page_table_equals_units() -> None:
    words = {"weight": WEIGHT, "gradient": GRADIENT, "weight / gradient": STEP, "gradient / weight": PULL}
    words |= {"gradient^2": Unit(0, 2), "1 / weight": Unit(-1, 0)}
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    for names, *cells in rows[2:9]:
        told = dict(zip(("lr", "eps", "weight_decay"), (cell.strip() for cell in cells), strict=False))
        told |= dict([cells[3].strip().split(": ")]) if cells[3].strip() else {}
        for name in names.replace(", and nadam when decoupled", "").split(","):
            units = {key: unit_of(name.strip(), key, {}) for key in UNITS[name.strip()]}
            assert {key: words[value] for key, value in told.items() if value} == units
