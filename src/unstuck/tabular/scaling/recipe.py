"""A recipe: the optimizer and its settings per layer, without data and weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from unstuck.tabular.scaling.columns import Columns, Value
from unstuck.tabular.scaling.layer import Layer, Share
from unstuck.tabular.scaling.units import DEFAULTS

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


@dataclass(frozen=True)
class Recipe:
    """Optimizer and settings per layer, first layer first. Equivalent recipes follow the same trajectory.

    `method` is the optimizer's class name in lower case; `clip_norm` bounds the gradient's norm over all layers.
    """

    method: str
    layers: tuple[Layer, ...]
    clip_norm: float | None = None

    @classmethod
    def plain(
        cls,
        method: str,
        settings: Mapping[str, Value],
        layers: int = 2,
        bias: bool = False,
        activation: str = "relu",
    ) -> Recipe:
        """The same settings in all layers of a plain network; settings with a unit default to torch's.

        Without biases unless `bias`.
        """
        share = Share({**DEFAULTS.get(method, {}), **settings})
        return cls(method, (Layer(share, share if bias else None, activation),) * layers)

    @classmethod
    def sgd(
        cls,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        layers: int = 2,
        bias: bool = False,
        activation: str = "relu",
    ) -> Recipe:
        """Stochastic gradient descent with torch's settings."""
        settings = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        return cls.plain("sgd", settings, layers, bias, activation)

    @classmethod
    def adam(
        cls,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        layers: int = 2,
        bias: bool = False,
        activation: str = "relu",
    ) -> Recipe:
        """Adam, whose weight decay is added to the gradient."""
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
        }
        return cls.plain("adam", settings, layers, bias, activation)

    @classmethod
    def adamw(
        cls,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        layers: int = 2,
        bias: bool = False,
        activation: str = "relu",
    ) -> Recipe:
        """AdamW, whose weight decay acts on the weight directly."""
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
        }
        return cls.plain("adamw", settings, layers, bias, activation)

    @classmethod
    def rmsprop(
        cls,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        layers: int = 2,
        bias: bool = False,
        activation: str = "relu",
    ) -> Recipe:
        """RMSprop with torch's settings."""
        settings = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
        }
        return cls.plain("rmsprop", settings, layers, bias, activation)

    @classmethod
    def of(cls, optimizer: Optimizer, model: nn.Module) -> Recipe:
        """The recipe of a torch optimizer and an `nn.Sequential` with its initial weights.

        Raises NotEquivalent if the model is not a plain chain that begins with a linear layer.
        """
        from unstuck.tabular.scaling.reading import layers

        return cls(type(optimizer).__name__.lower(), layers(optimizer, model))

    def times(self, layer: int, **factors: Value) -> Recipe:
        """The recipe with settings of one layer multiplied: `times(0, init=1/255, lr=1/255)`, for bias and weight
        alike."""
        changed = self.layers[layer]
        bias = changed.bias and changed.bias.times(factors)
        return self.with_layer(layer, replace(changed, weight=changed.weight.times(factors), bias=bias))

    def with_layer(self, index: int, layer: Layer) -> Recipe:
        """The recipe with one layer replaced."""
        layers = list(self.layers)
        layers[index] = layer
        return replace(self, layers=tuple(layers))

    def __str__(self) -> str:
        lines = [f"{self.method}"]
        for number, layer in enumerate(self.layers, 1):
            lines += [f"  layer {number} {name}: {_sentence(share)}" for name, share in layer.shares()]
        return "\n".join(lines)


SHOWN = ("lr", "weight_decay", "eps")


def _sentence(share: Share) -> str:
    """The initial factor and the settings that the law changes."""
    shown = [f"{name} {_number(share.settings[name])}" for name in SHOWN if name in share.settings]
    return ", ".join([f"initial values x {_number(share.init)}", *shown])


def _number(value: Value) -> str:
    if isinstance(value, Columns):
        return f"{min(value):.6g} to {max(value):.6g} by feature"
    return f"{value:.6g}"
