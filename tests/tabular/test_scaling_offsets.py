"""Moved inputs: where an offset can be taken up, where it cannot, and how far the best attempt misses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn

from tests.tabular.recipe_runs import FEATURES, HIDDEN, apart, network, walk
from unstuck.tabular.scaling import Affine, Columns, NotEquivalent, Recipe, equivalent, precondition, realise

SAME = 1e-9
STEPS = 200
SCALE = (10.0, 0.5, -3.0, 1.0, 2.0, 7.0)
OFFSET = (92.0, -1.0, 0.0, 4.0, 2.0, -5.0)
AFFINE = Affine.of(SCALE, OFFSET)


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def moved(x: Tensor) -> Tensor:
    """The inputs in other units, from another zero."""
    return x * torch.tensor(SCALE) + torch.tensor(OFFSET)


def entry(recipe: Recipe, weight: dict[str, Any], bias: dict[str, Any]) -> Recipe:
    """The recipe with settings of the first layer's weight and bias multiplied."""
    first = recipe.layers[0]
    assert first.bias is not None
    return recipe.with_layer(0, replace(first, weight=first.weight.times(weight), bias=first.bias.times(bias)))


# --- possible: nothing moves that the offset would mix, or it is taken out behind, or mixed back ---


@pytest.mark.parametrize("method", ["sgd", "adam", "adamw", "rmsprop"])
def test_frozen_weights_leave_the_offset_to_the_bias(method: str) -> None:
    plain = Recipe.plain(method, {"lr": 0.02, "weight_decay": 1e-2}, bias=True)
    recipe = entry(plain, {"lr": 0.0}, {"weight_decay": 0.0})
    told = equivalent(recipe, SCALE, OFFSET)
    assert apart(walk(recipe, steps=STEPS), walk(told, moved, steps=STEPS)) < SAME
    with pytest.raises(NotEquivalent, match="another function"):
        equivalent(entry(plain, {"lr": 0.0}, {}), SCALE, OFFSET)


def test_only_the_features_with_an_offset_need_be_frozen() -> None:
    moving = Columns([0.0 if offset else 1.0 for offset in OFFSET])
    recipe = entry(Recipe.sgd(lr=0.1, momentum=0.9, bias=True), {"lr": moving}, {})
    assert apart(walk(recipe, steps=STEPS), walk(equivalent(recipe, SCALE, OFFSET), moved, steps=STEPS)) < SAME


def test_offsets_compose() -> None:
    recipe = entry(Recipe.sgd(lr=0.1, bias=True), {"lr": 0.0}, {})
    twice = equivalent(equivalent(recipe, 2.0, 5.0), 3.0, -1.0)
    assert apart(walk(recipe, steps=20), walk(twice, lambda x: 3 * (2 * x + 5) - 1, steps=20)) < SAME


def normed() -> nn.Sequential:
    """A network whose first layer, without a bias, is followed by a batch normalisation."""
    torch.manual_seed(0)
    first, second = nn.Linear(FEATURES, HIDDEN, bias=False), nn.Linear(HIDDEN, 3)
    return nn.Sequential(first, nn.BatchNorm1d(HIDDEN), nn.ReLU(), second)


def test_a_normalisation_that_is_set_to_evaluate_takes_nothing_out() -> None:
    model = nn.Sequential(nn.Linear(FEATURES, 3, bias=False), nn.BatchNorm1d(3, affine=False))
    for training in (True, False):
        recipe = Recipe.of(torch.optim.SGD(model.train(training).parameters(), lr=0.1), model)
        assert recipe.layers[0].centred == training


@pytest.mark.parametrize("method", [torch.optim.SGD, torch.optim.Adam])
def test_batch_normalisation_behind_the_layer_takes_any_offset_out(method: type[Any]) -> None:
    model = normed()
    recipe = Recipe.of(method(model.parameters(), lr=0.05), model)
    told = equivalent(recipe, SCALE, OFFSET)
    assert apart(walk(recipe, model=normed(), steps=STEPS), walk(told, moved, normed(), steps=STEPS)) < SAME


SGD = {
    "plain": {"lr": 0.2},
    "momentum": {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2, "dampening": 0.5},
    "nesterov": {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-2, "nesterov": True},
}


def carried() -> nn.Sequential:
    """The network with its first layer carried over to the moved inputs."""
    model = network(True)
    with torch.no_grad():
        weight, bias = AFFINE.weights(model[0].weight, model[0].bias)
        model[0].weight.copy_(weight)
        model[0].bias.copy_(bias)
    return model


@pytest.mark.parametrize("rule", SGD)
@pytest.mark.parametrize("bias_rate", [1.0, 0.25])
def test_sgd_with_mixed_gradients_follows_the_same_path(rule: str, bias_rate: float) -> None:
    recipe = entry(Recipe.plain("sgd", SGD[rule], bias=True), {}, {"lr": bias_rate, "weight_decay": 1 / bias_rate})
    told = walk(recipe, moved, carried(), STEPS, prepare=lambda model, sgd: precondition(sgd, model[0], AFFINE))
    assert apart(walk(recipe, steps=STEPS), told) < SAME


# --- not possible ---


@pytest.mark.parametrize("method", ["sgd", "adam"])
def test_a_trained_layer_has_no_recipe_for_an_offset(method: str) -> None:
    with pytest.raises(NotEquivalent, match="mixes the bias's gradient"):
        equivalent(Recipe.plain(method, {}, bias=True), input_offset=0.5)


def test_no_rates_per_parameter_do_what_the_offset_needs() -> None:
    recipe = Recipe.sgd(lr=0.1, bias=True)
    gradients: list[tuple[Tensor, Tensor]] = []

    def note(model: Any) -> None:
        gradients.append((model[0].weight.grad.clone(), model[0].bias.grad.clone()))

    walk(recipe, lambda x: (x - 0.5) * 12**0.5, steps=50, before_step=note)  # mean 0, spread 1
    there = torch.stack([AFFINE.gradients(*pair)[0] for pair in gradients])
    wanted = torch.stack([AFFINE.descent(*AFFINE.gradients(*pair))[0] for pair in gradients])
    # for every single weight the one rate, of all rates, whose steps come closest over the run
    rates = (wanted * there).sum(0) / there.square().sum(0)
    missed = (wanted - rates * there).norm(dim=(0, 1)) / wanted.norm(dim=(0, 1))
    offset = torch.tensor(OFFSET) != 0
    assert (missed[~offset] < 1e-12).all()
    assert (missed[offset] > 0.3).all()
    assert missed[0] > 0.7, "92 +- 10: more of the step is wrong than right"


def test_adam_divides_entry_by_entry_and_cannot_be_mixed() -> None:
    recipe = Recipe.adam(lr=0.01, bias=True)

    def mix(model: Any) -> None:
        first = model[0]
        first.weight.grad, first.bias.grad = AFFINE.descent(first.weight.grad, first.bias.grad)

    assert apart(walk(recipe, steps=STEPS), walk(recipe, moved, carried(), STEPS, before_step=mix)) > 0.1


@pytest.mark.parametrize(
    "recipe, reason",
    [
        (Recipe.adam(bias=True), "only for SGD"),
        (entry(Recipe.sgd(lr=0.1, weight_decay=0.1, bias=True), {"weight_decay": 2.0}, {}), "same lr \\* weight_decay"),
        (Recipe.sgd(lr=0.1), "only for a layer with a bias"),
    ],
)
def test_precondition_refuses_other_cases(recipe: Recipe, reason: str) -> None:
    model = network(recipe.layers[0].bias is not None)
    with pytest.raises(NotEquivalent, match=reason):
        precondition(realise(recipe, model), model[0], AFFINE)


def test_zero_padding_does_not_shift() -> None:
    for padding, model in ((1, nn.Conv1d(2, 3, 3, padding=1)), ("same", nn.Conv1d(2, 3, 3, padding="same"))):
        chain = nn.Sequential(model, nn.BatchNorm1d(3))
        recipe = Recipe.of(torch.optim.SGD(chain.parameters(), lr=0.1), chain)
        with pytest.raises(NotEquivalent, match="zero padding"):
            equivalent(recipe, input_offset=1.0)
        assert equivalent(recipe, input_scale=2.0).layers[0].weight.init == 0.5, padding


def test_a_frozen_convolution_hands_the_offset_to_its_bias() -> None:
    def trained(offset: float) -> Any:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv1d(2, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
        model[0].weight.requires_grad_(False)
        recipe = Recipe.of(torch.optim.Adam(model.parameters(), lr=0.01), model)
        return walk(equivalent(recipe, 4.0, offset), lambda x: x.reshape(-1, 2, 3) * 4 + offset, model, steps=50)

    assert apart(trained(0.0), trained(7.0)) < SAME


def test_an_input_that_is_normalised_first_needs_nothing() -> None:
    chain = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
    with pytest.raises(NotEquivalent, match="already removes"):
        equivalent(Recipe.of(torch.optim.SGD(chain.parameters(), lr=0.1), chain), 2.0)


# --- the algebra ---

finite = st.floats(-50, 50).map(lambda v: round(v, 3))
positive = st.floats(0.05, 20)


@settings(max_examples=50)
@given(arrays(float, 4, elements=positive), arrays(float, 4, elements=finite), positive, positive)
def test_the_matrix_of_rates_is_diagonal_exactly_without_an_offset(
    scale: np.ndarray, offset: np.ndarray, lr_weight: float, lr_bias: float
) -> None:
    affine = Affine.of(scale, offset)
    rates = affine.rates(lr_weight, lr_bias)
    corner = rates[-1, :-1]
    np.testing.assert_allclose(corner, -lr_weight * offset / scale**2)
    assert ((corner == 0) == (offset == 0)).all()
    frozen = affine.rates(0.0, lr_bias)
    np.testing.assert_array_equal(frozen, np.diag([0.0] * 4 + [lr_bias]))


@settings(max_examples=50)
@given(arrays(float, 4, elements=positive), arrays(float, 4, elements=finite), positive, positive)
def test_mixing_is_the_matrix_of_rates(scale: np.ndarray, offset: np.ndarray, lr_weight: float, lr_bias: float) -> None:
    affine = Affine.of(scale, offset)
    weight, bias = np.arange(8.0).reshape(2, 4) - 3, np.array([1.0, -2.0])
    step = affine.descent(weight, bias, ratio=lr_weight / lr_bias)
    full = np.column_stack([weight, bias]) @ affine.rates(lr_weight, lr_bias)
    np.testing.assert_allclose(lr_weight * step[0], full[:, :-1], rtol=1e-6, atol=1e-6 * abs(full).max())
    np.testing.assert_allclose(lr_bias * step[1], full[:, -1], rtol=1e-6, atol=1e-6 * abs(full).max())


def test_a_moved_layer_gives_the_same_and_its_matrix_says_the_same() -> None:
    model, x = network(True), torch.rand(5, FEATURES)
    weight, bias = AFFINE.weights(model[0].weight, model[0].bias)
    torch.testing.assert_close(moved(x) @ weight.T + bias, model[0](x))
    rows = torch.column_stack([model[0].weight, model[0].bias]).detach().numpy() @ AFFINE.matrix.T
    np.testing.assert_allclose(rows, torch.column_stack([weight, bias]).detach().numpy())


def test_a_heart_rate_stretches_the_rates_by_directions() -> None:
    assert Affine.of(1.0, 0.0).stretch == pytest.approx(1.0)
    assert Affine.of(10.0, 0.0).stretch == pytest.approx(100.0)
    assert Affine.of(10.0, 92.0).stretch == pytest.approx(733_600, rel=1e-3)


@pytest.mark.parametrize("scale, offset", [(0.0, 1.0), (float("inf"), 0.0), (1.0, float("nan"))])
def test_a_map_that_cannot_be_undone_is_refused(scale: float, offset: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        Affine.of(scale, offset)
