"""Start a torch training run from a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from unstuck.tabular.scaling.columns import Columns, Value
from unstuck.tabular.scaling.layer import Layer
from unstuck.tabular.scaling.offsets import Affine
from unstuck.tabular.scaling.reading import places
from unstuck.tabular.scaling.recipe import Recipe
from unstuck.tabular.scaling.units import UNITS, NotEquivalent


def realise(recipe: Recipe, model: nn.Module) -> Optimizer:
    """Scale the model's initial weights in place by the recipe's factors and build the matching optimizer.

    The model must have the recipe's chain of layers. A weight whose settings differ by input feature is split into
    blocks of equal settings (a parametrization of the layer: `layer.weight` reads as before).
    """
    found = list(places(model))
    if len(found) != len(recipe.layers):
        raise ValueError(f"the recipe has {len(recipe.layers)} layers, the model {len(found)}")
    for (module, _), layer in zip(found, recipe.layers, strict=True):
        _scale(module, layer)
    groups = [_groups(module, layer) for (module, _), layer in zip(found, recipe.layers, strict=True)]
    optimizer = _optimizer(recipe.method)(list(chain.from_iterable(groups)))
    _fill(optimizer)
    return optimizer


def precondition(optimizer: Optimizer, layer: nn.Linear, affine: Affine) -> None:
    """Make SGD, with unchanged rates, follow on `scale * x + offset` the path it would follow on x.

    Gradients are mixed before each step. The layer's weights must have been converted with `affine.weights`. Raises
    NotEquivalent if mixing is not enough: for other optimizers, and if weight and bias decay at different speeds.
    """
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    if not isinstance(optimizer, torch.optim.SGD) or layer.bias is None:
        raise NotEquivalent("gradients can be mixed only for SGD, and only for a layer with a bias")
    weight, bias = groups[id(layer.weight)], groups[id(layer.bias)]
    if weight["lr"] * weight["weight_decay"] != bias["lr"] * bias["weight_decay"]:
        raise NotEquivalent("weight and bias need the same lr * weight_decay: otherwise the decay mixes them as well")

    def mix(*_: Any) -> None:
        pair = layer.weight.grad, layer.bias.grad
        if pair[0] is not None and pair[1] is not None:
            layer.weight.grad, layer.bias.grad = affine.descent(*pair, ratio=weight["lr"] / bias["lr"])

    optimizer.register_step_pre_hook(mix)


@torch.no_grad()
def _scale(module: Any, layer: Layer) -> None:
    weight = module.weight
    weight.mul_(_shaped(layer.weight.init, weight))
    if layer.bias is None:
        return
    module.bias.mul_(_shaped(layer.bias.init, module.bias))
    if layer.offset != 0.0:
        moved = weight.flatten(2).sum(2) if weight.dim() > 2 else weight
        module.bias.sub_((moved * _shaped(layer.offset, moved)).sum(1))


def _shaped(value: Value, like: Tensor) -> Any:
    """A number unchanged; one per feature reshaped along dimension 1 of a weight."""
    if not isinstance(value, Columns):
        return value
    if len(value) != like.shape[1]:
        raise ValueError(f"the recipe has {len(value)} features, the first layer {like.shape[1]}")
    return like.new_tensor(value).reshape(1, -1, *[1] * (like.dim() - 2))


class _Blocks(nn.Module):
    """A weight stored as blocks of its columns. `index[b]` holds the columns of block b."""

    def __init__(self, index: list[list[int]]) -> None:
        super().__init__()
        self.index = index
        self.back = torch.tensor(list(chain.from_iterable(index))).argsort()

    def forward(self, *blocks: Tensor) -> Tensor:
        return torch.cat(blocks, dim=1)[:, self.back]

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, ...]:
        return tuple(weight[:, columns].clone() for columns in self.index)


def _groups(module: Any, layer: Layer) -> Iterator[dict[str, Any]]:
    settings = layer.weight.settings
    if any(isinstance(value, Columns) for value in settings.values()):
        yield from _split(module, settings)
    else:
        yield {"params": [module.weight], **settings}
    if layer.bias is not None:
        yield {"params": [module.bias], **layer.bias.settings}


def _split(module: Any, settings: Any) -> Iterator[dict[str, Any]]:
    """One parameter group per block of columns with equal settings."""
    blocks: dict[tuple[Any, ...], list[int]] = {}
    for column in range(module.weight.shape[1]):
        own = tuple(v[column] if isinstance(v, Columns) else v for v in settings.values())
        blocks.setdefault(own, []).append(column)
    parametrize.register_parametrization(module, "weight", _Blocks(list(blocks.values())))
    originals = module.parametrizations.weight
    for number, own in enumerate(blocks):
        name = f"original{number}" if hasattr(originals, "original0") else "original"
        yield {"params": [getattr(originals, name)], **dict(zip(settings, own, strict=True))}


def _optimizer(method: str) -> Callable[..., Optimizer]:
    classes: dict[str, Any] = {
        name.lower(): value for name, value in vars(torch.optim).items() if isinstance(value, type)
    }
    if method not in UNITS or method not in classes:
        raise NotEquivalent(f"unknown torch optimizer: {method}")
    return classes[method]


def _fill(optimizer: Optimizer) -> None:
    """Set Adagrad's initial sums, which torch takes from the defaults and not from the groups."""
    for group in optimizer.param_groups:
        for parameter in group["params"] if "initial_accumulator_value" in group else ():
            optimizer.state[parameter]["sum"].fill_(group["initial_accumulator_value"])
