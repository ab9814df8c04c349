"""The law: the recipe with which training in other units follows the same trajectory.

A first layer sees its input only through `W x`, so on `c x` the weights `W/c` give the same network. That changes the
weight's unit, and units.py says what follows for the optimizer. ReLU's symmetry, `W1/a` and `a W2`, changes two units.
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
    multiplies the loss. With the same batches in the same order, and the same initial weights times the recipe's
    factors, the outputs are equal at every step. Momentum, betas and schedules that multiply the rates stay as they
    are. Raises NotEquivalent with the reason if there is no such recipe.
    """
    scale, offset = per_feature(input_scale, "input_scale"), per_feature(input_offset, "input_offset")
    if not every(lambda c: c != 0, scale) or not loss_scale > 0:
        raise NotEquivalent("input_scale must not be 0 and loss_scale must be positive")
    first = recipe.layers[0]
    _check_entry(first, offset)
    inverse = spread(lambda c: 1.0 / c, scale)
    moved = recipe if first.centred else recipe.with_layer(0, _moved(first, scale, offset))
    weights = [inverse] + [1.0] * (len(recipe.layers) - 1)
    return _rewritten(moved, weights, [1.0] * len(recipe.layers), loss_scale)


def rescaled(recipe: Recipe, by: float, at: int = 0) -> Recipe:
    """The recipe with layer `at` (weight and bias) divided by `by` and the weight of the next multiplied by it.

    The network is the same at every step if the activation in between is homogeneous (such as ReLU). Raises
    NotEquivalent if it is not.
    """
    if not (by > 0 and math.isfinite(by)):
        raise ValueError("by must be a positive number")
    _check_between(recipe, at)
    weights, biases = [1.0] * len(recipe.layers), [1.0] * len(recipe.layers)
    weights[at], weights[at + 1], biases[at] = 1.0 / by, by, 1.0 / by
    return _rewritten(recipe, weights, biases)


def balanced(recipe: Recipe) -> Recipe:
    """Of all recipes that differ only by ReLU's symmetry, the one with the same learning rate for all weights.

    It shows what a recipe with a rate per layer amounts to: often one rate and other initial weights.
    """
    for at in range(len(recipe.layers) - 1):
        _check_between(recipe, at)
    rates = [layer.weight.lr for layer in recipe.layers]
    if not all(isinstance(rate, float | int) and rate > 0 for rate in rates):
        raise NotEquivalent("balanced needs one positive learning rate per layer")
    unit = unit_of(recipe.method, "lr", recipe.layers[0].weight.settings)
    assert unit is not None, "every rate has a unit"
    power = 1.0 / (unit.weight - unit.gradient)  # exponent of a weight's factor in its rate's: 1 for Adam, 1/2 for SGD
    mean = math.prod(rate ** (1.0 / len(rates)) for rate in rates)
    return _chain(recipe, [(mean / rate) ** power for rate in rates])


def _chain(recipe: Recipe, weights: Sequence[float]) -> Recipe:
    """Multiply weights by factors whose product is 1; a bias is multiplied by all factors up to its own layer."""
    biases = [math.prod(weights[: layer + 1]) for layer in range(len(weights) - 1)]
    return _rewritten(recipe, weights, [*biases, 1.0])


def _rewritten(recipe: Recipe, weights: Sequence[Value], biases: Sequence[Value], loss: float = 1.0) -> Recipe:
    """The recipe with every parameter in its new unit."""
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
            "clip_norm bounds the gradient over all layers, but only some layers' gradients change their unit; clip "
            "each parameter by itself, with its bound multiplied like its gradient (the first layer's by input_scale)"
        )
    return replace(recipe, layers=tuple(layers), clip_norm=recipe.clip_norm and recipe.clip_norm * loss)


def _in_units(method: str, share: Share, weight: Value, loss: float) -> Share:
    """One parameter times `weight`, its gradient therefore times `loss / weight`, and each setting by its unit."""
    gradient = spread(lambda w: loss / w, weight)
    units = {name: unit_of(method, name, share.settings) for name in {**share.settings, **DEFAULTS.get(method, {})}}
    factors = {name: spread(unit.factor, weight, gradient) for name, unit in units.items() if unit is not None}
    return share.times({"init": weight, **factors})


def _moved(first: Layer, scale: Value, offset: Value) -> Layer:
    """The layer with the input's offset, in the units of the new input, added to the one it had."""
    return replace(first, offset=spread(lambda old, c, b: old * c + b, first.offset, scale, offset))


def _check_entry(first: Layer, offset: Value) -> None:
    """Raise NotEquivalent if the law does not cover how the input or its offset enters the network."""
    if first.kind == "norm":
        raise NotEquivalent("the input enters a normalisation first, which already removes scale and offset")
    if every(lambda b: b == 0, offset):
        return
    if first.kind == "padded":
        raise NotEquivalent("zero padding is not shifted by the offset: pad the input before shifting it instead")
    if first.centred:
        return
    if first.bias is None:
        raise NotEquivalent("an offset needs a bias to absorb it, and the first layer has none")
    if not every(lambda b, lr: b == 0 or lr == 0, offset, first.weight.lr):
        raise NotEquivalent(
            "an offset mixes the bias's gradient into the weight's, which no rates per parameter undo; subtract it "
            "from the input (Standardize), freeze the first layer's weights, or for SGD mix the gradients back "
            "(Affine.descent)"
        )
    if not every(lambda decay, lr: decay == 0 or lr == 0, first.bias.weight_decay, first.bias.lr):
        raise NotEquivalent("weight decay pulls the bias to 0, which is another function once it absorbs the offset")


def _check_between(recipe: Recipe, at: int) -> None:
    """Raise NotEquivalent if a factor does not pass through what lies between a layer and the next."""
    if not 0 <= at < len(recipe.layers) - 1:
        raise ValueError(f"there is no layer after layer {at}")
    layer, after = recipe.layers[at], recipe.layers[at + 1]
    if layer.kind == "norm" or after.kind == "norm" or layer.activation not in HOMOGENEOUS:
        between = "a normalisation" if "norm" in (layer.kind, after.kind) else layer.activation
        raise NotEquivalent(f"{between} between the layers does not pass a factor through unchanged")
