"""The law: the recipe for which training on other units follows the same path.

A first layer sees its input only through `W x`, so on `c x` the weights `W/c` give the same network. That is a change
of the weight's unit, and units.py says what follows for the optimizer. ReLU's symmetry, `W1/a` and `a W2`, is two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from unstuck.tabular.scaling.columns import Value, every, per_feature, spread
from unstuck.tabular.scaling.layer import HOMOGENEOUS, Layer, Share
from unstuck.tabular.scaling.recipe import Recipe
from unstuck.tabular.scaling.units import DEFAULTS, NotEquivalent, unit_of


def equivalent(recipe: Recipe, input_scale: Any = 1.0, input_offset: Any = 0.0, loss_scale: float = 1.0) -> Recipe:
    """The recipe that on `input_scale * x + input_offset` trains exactly as `recipe` does on `x`.

    `input_scale` and `input_offset` are numbers, or one per input feature (channel, for a convolution); `loss_scale`
    multiplies the loss. The same batches in the same order, the same drawn weights times the recipe's initial factors:
    then the outputs are equal at every step. Momentum, betas and schedules that multiply the rates stay as they are.
    Raises NotEquivalent where there is no such recipe, and says why.
    """
    scale, offset = per_feature(input_scale, "input_scale"), per_feature(input_offset, "input_offset")
    if not every(lambda c: c != 0, scale) or not loss_scale > 0:
        raise NotEquivalent("a scale of 0 removes what is scaled; the loss's must be positive")
    first = recipe.layers[0]
    _check_entry(first, offset)
    inverse = spread(lambda c: 1.0 / c, scale)
    moved = recipe if first.centred else recipe.with_layer(0, _moved(first, scale, offset))
    weights = [inverse] + [1.0] * (len(recipe.layers) - 1)
    return _rewritten(moved, weights, [1.0] * len(recipe.layers), loss_scale)


def rescaled(recipe: Recipe, by: float, at: int = 0) -> Recipe:
    """The recipe with layer `at` (weight and bias) divided by `by` and the weight of the next multiplied by it.

    The same network as before at every step, if the activation between the two is homogeneous (ReLU and its kin).
    Raises NotEquivalent where it is not.
    """
    if not (by > 0 and math.isfinite(by)):
        raise ValueError("by must be a positive number")
    _check_between(recipe, at)
    weights, biases = [1.0] * len(recipe.layers), [1.0] * len(recipe.layers)
    weights[at], weights[at + 1], biases[at] = 1.0 / by, by, 1.0 / by
    return _rewritten(recipe, weights, biases)


def balanced(recipe: Recipe) -> Recipe:
    """Of all recipes that differ by ReLU's symmetry only, the one whose layers' weights share one learning rate.

    It shows what a recipe with a rate per layer amounts to: often a single rate and other initial weights.
    """
    for at in range(len(recipe.layers) - 1):
        _check_between(recipe, at)
    rates = [layer.weight.lr for layer in recipe.layers]
    if not all(isinstance(rate, float | int) and rate > 0 for rate in rates):
        raise NotEquivalent("a layer without one positive rate has no balanced recipe")
    unit = unit_of(recipe.method, "lr", recipe.layers[0].weight.settings)
    assert unit is not None, "every rate has a unit"
    power = 1.0 / (unit.weight - unit.gradient)  # of a weight's factor in its rate's: 1 for Adam, 1/2 for SGD
    mean = math.prod(rate ** (1.0 / len(rates)) for rate in rates)
    return _chain(recipe, [(mean / rate) ** power for rate in rates])


def _chain(recipe: Recipe, weights: Sequence[float]) -> Recipe:
    """Weights by factors whose product is 1; a bias carries all the factors up to its own layer."""
    biases = [math.prod(weights[: layer + 1]) for layer in range(len(weights) - 1)]
    return _rewritten(recipe, weights, [*biases, 1.0])


def _rewritten(recipe: Recipe, weights: Sequence[Value], biases: Sequence[Value], loss: float = 1.0) -> Recipe:
    """Every parameter in its new unit."""
    layers = [
        replace(
            layer,
            weight=_in_units(recipe.method, layer.weight, weight, loss),
            bias=layer.bias and _in_units(recipe.method, layer.bias, bias, loss),
        )
        for layer, weight, bias in zip(recipe.layers, weights, biases, strict=True)
    ]
    uniform = all(every(lambda w: abs(w) == 1.0, weight) for weight in weights)
    if recipe.clip_norm is not None and not uniform:
        raise NotEquivalent(
            "the gradient's norm is clipped over all layers together, and only one layer's gradient changes its unit; "
            "clip each parameter by itself, its bound multiplied as its gradient is (the first layer's by the scale)"
        )
    return replace(recipe, layers=tuple(layers), clip_norm=recipe.clip_norm and recipe.clip_norm * loss)


def _in_units(method: str, share: Share, weight: Value, loss: float) -> Share:
    """One parameter times `weight`, its gradient hence by `loss / weight`, and each setting by its unit."""
    gradient = spread(lambda w: loss / w, weight)
    units = {name: unit_of(method, name, share.settings) for name in {**share.settings, **DEFAULTS.get(method, {})}}
    factors = {name: spread(unit.factor, weight, gradient) for name, unit in units.items() if unit is not None}
    return share.times({"init": weight, **factors})


def _moved(first: Layer, scale: Value, offset: Value) -> Layer:
    """The layer with the input's offset noted, in the new input's units, on top of what it had."""
    return replace(first, offset=spread(lambda old, c, b: old * c + b, first.offset, scale, offset))


def _check_entry(first: Layer, offset: Value) -> None:
    """Whether the input enters in a way that the law covers, and an offset in a way that it can be taken up."""
    if first.kind == "norm":
        raise NotEquivalent("the input meets a normalisation first, which takes out scale and offset by itself")
    if every(lambda b: b == 0, offset):
        return
    if first.kind == "padded":
        raise NotEquivalent("the zeros that a convolution pads with are not moved by the offset: pad before it instead")
    if first.centred:
        return
    if first.bias is None:
        raise NotEquivalent("an offset needs a bias to be taken out of, and the first layer has none")
    if not every(lambda b, lr: b == 0 or lr == 0, offset, first.weight.lr):
        raise NotEquivalent(
            "an offset mixes the bias's gradient into the weight's, and no rates per parameter take it out again; "
            "subtract it from the input (Standardize), freeze the first layer's weights, "
            "or for SGD mix the gradients back (Affine.descent)"
        )
    if not every(lambda decay, lr: decay == 0 or lr == 0, first.bias.weight_decay, first.bias.lr):
        raise NotEquivalent("the bias that takes up the offset decays towards 0, which is another point now")


def _check_between(recipe: Recipe, at: int) -> None:
    """Whether a factor passes through what lies between a layer and the next."""
    if not 0 <= at < len(recipe.layers) - 1:
        raise ValueError(f"there is no layer after layer {at}")
    layer, after = recipe.layers[at], recipe.layers[at + 1]
    if layer.kind == "norm" or after.kind == "norm" or layer.activation not in HOMOGENEOUS:
        between = "a normalisation" if "norm" in (layer.kind, after.kind) else layer.activation
        raise NotEquivalent(f"{between} between the layers does not pass a factor through unchanged")
