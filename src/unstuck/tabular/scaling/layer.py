"""One layer of a recipe: the factor on the initial values and the optimizer's settings of each parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from unstuck.tabular.scaling.columns import Value, times

HOMOGENEOUS = frozenset({"relu", "leaky_relu", "prelu", "identity"})
"""Activations with act(a z) = a act(z) for every a > 0."""


@dataclass(frozen=True)
class Share:
    """The settings of one parameter: the factor on its initial values, and its options of the optimizer."""

    settings: Mapping[str, Value]
    init: Value = 1.0

    @property
    def lr(self) -> Value:
        """The learning rate; 0 for a frozen parameter."""
        return self.settings["lr"]

    @property
    def weight_decay(self) -> Value:
        """0 if the optimizer has none."""
        return self.settings.get("weight_decay", 0.0)

    @property
    def eps(self) -> Value:
        """0 if the optimizer has none."""
        return self.settings.get("eps", 0.0)

    def times(self, factors: Mapping[str, Value]) -> Share:
        """Settings multiplied by name; `init` multiplies the initial factor."""
        unknown = factors.keys() - self.settings.keys() - {"init"}
        if unknown:
            raise ValueError(f"no such setting: {', '.join(sorted(unknown))}")
        changed = {name: times(v, factors[name]) if name in factors else v for name, v in self.settings.items()}
        return Share(changed, times(self.init, factors.get("init", 1.0)))


@dataclass(frozen=True)
class Layer:
    """A linear map or a normalisation, and the activation between it and the next one."""

    weight: Share
    bias: Share | None = None
    activation: str = "relu"
    kind: str = "linear"
    """`linear`, `padded` (a convolution that adds zeros at the borders) or `norm`."""
    centred: bool = False
    """Whether BatchNorm follows, which subtracts the mean over the batch from the layer's output."""
    offset: Value = 0.0
    """Offset of the input, subtracted from the initial bias: `bias -= weight @ offset`, with the weight already
    scaled."""

    def shares(self) -> Iterator[tuple[str, Share]]:
        """`weight` and, if present, `bias`."""
        yield "weight", self.weight
        if self.bias is not None:
            yield "bias", self.bias
