"""Read the layers of a recipe from a torch optimizer and its model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.tabular.scaling.layer import Layer, Share
from unstuck.tabular.scaling.units import NotEquivalent

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.RMSNorm)
CENTRING = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
TRANSPARENT = (nn.Identity, nn.Flatten, nn.Dropout, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d)
"""Layers through which a positive factor per channel passes."""
ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.LeakyReLU: "leaky_relu"}


def layers(optimizer: Optimizer, model: nn.Module) -> tuple[Layer, ...]:
    """The layers of a chain with the optimizer's settings of each. Raises NotEquivalent for other models."""
    found = list(places(model))
    owned = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    read = [_layer(module, following, owned, optimizer) for module, following in found]
    known = {id(p) for module, _ in found for p in module.parameters(recurse=False)}
    if len({id(module) for module, _ in found}) < len(found) or not owned.keys() <= known:
        raise NotEquivalent("a layer is used twice, or the optimizer trains weights outside the chain")
    return tuple(read)


def places(model: nn.Module) -> Iterator[tuple[nn.Module, list[nn.Module]]]:
    """The modules with weights, in order, each with the modules that follow up to and including the next one."""
    modules = list(_flat(model))
    starts = [i for i, module in enumerate(modules) if any(True for _ in module.parameters())]
    if not starts or not all(isinstance(module, nn.Identity | nn.Flatten) for module in modules[: starts[0]]):
        raise NotEquivalent("the input must enter the network through a linear layer")
    for start, end in zip(starts, [*starts[1:], len(modules) - 1], strict=True):
        yield modules[start], modules[start + 1 : end + 1]


def _flat(model: nn.Module) -> Iterator[nn.Module]:
    if isinstance(model, nn.Sequential):
        for child in model:
            yield from _flat(child)
        return
    owned = dict(model.named_parameters())
    if owned and not (isinstance(model, LINEAR + NORMS) and owned.keys() <= {"weight", "bias"}):
        raise NotEquivalent(f"expected a chain (nn.Sequential) of plain layers, not {type(model).__name__}")
    yield model


def _layer(module: Any, following: list[nn.Module], owned: dict[int, Any], optimizer: Optimizer) -> Layer:
    """The layer of the recipe for a module."""
    norm = isinstance(module, NORMS)
    # Reflected or circular padding shifts with the offset; zero padding does not.
    padded = getattr(module, "padding_mode", "") == "zeros" and _pads(module.padding)
    return Layer(
        _share(module.weight, owned, optimizer),
        None if module.bias is None else _share(module.bias, owned, optimizer),
        _activation(following),
        "norm" if norm else "padded" if padded else "linear",
        isinstance(following[0], CENTRING) and following[0].training if following else False,
    )


def _pads(padding: Any) -> bool:
    return padding == "same" if isinstance(padding, str) else any(padding)


def _share(parameter: Tensor, owned: dict[int, Any], optimizer: Optimizer) -> Share:
    group = owned.get(id(parameter)) if parameter.requires_grad else None
    settings = {k: v for k, v in (group or optimizer.defaults).items() if k not in ("params", "initial_lr")}
    plain = {k: v.item() if isinstance(v, Tensor) else v for k, v in settings.items()}
    return Share(plain if group is not None else {**plain, "lr": 0.0})


def _activation(following: list[nn.Module]) -> str:
    """The name of the activation between two layers; `identity` if there is none."""
    active = [module for module in following if not isinstance(module, TRANSPARENT + LINEAR)]
    names = {ACTIVATIONS.get(type(module), type(module).__name__) for module in active}
    if names <= set(ACTIVATIONS.values()):
        return "identity" if not names else max(names)
    return " and ".join(sorted(names))
