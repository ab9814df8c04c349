"""The limits of float32's sigmoid and BCELoss, measured with torch itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

POINTS = (-1000.0, -100.0, -88.0, -60.0, -40.0, -30.0, -28.0, -27.0, -10.0, 0.0, 10.0, 16.0, 17.0, 40.0, 1000.0)


@dataclass(frozen=True)
class Point:
    """One logit: the sigmoid, and for each label the loss and its gradient, in both forms."""

    z: float
    sigmoid: float
    loss: tuple[float, float]
    """BCELoss for label 0, label 1."""
    slope: tuple[float, float]
    logits_loss: tuple[float, float]
    logits_slope: tuple[float, float]


def at(z: float) -> Point:
    """All values at one logit, in float32, by autograd."""
    through, bare = (zip(*(_asked(f, z, y) for y in (0.0, 1.0)), strict=True) for f in (_through, _bare))
    return Point(z, float(torch.tensor(z).sigmoid()), *through, *bare)


def _through(z: Tensor, y: Tensor) -> Tensor:
    return binary_cross_entropy(z.sigmoid(), y)


def _bare(z: Tensor, y: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(z, y)


def _asked(loss: Callable[[Tensor, Tensor], Tensor], z: float, y: float) -> tuple[float, float]:
    logit = torch.tensor([z], requires_grad=True)
    value = loss(logit, torch.tensor([y]))
    (slope,) = torch.autograd.grad(value, logit)
    return float(value.detach()), float(slope)


def inner_slope() -> float:
    """BCELoss's own derivative by p for p exactly 0 and label 1."""
    p = torch.zeros(1, requires_grad=True)
    (slope,) = torch.autograd.grad(binary_cross_entropy(p, torch.ones(1)), p)
    return float(slope)


@dataclass(frozen=True)
class Edges:
    """Logits at which float32 saturates, found by bisection."""

    one: float
    """From here on float32's sigmoid is exactly 1."""
    zero: float
    """Up to here it is exactly 0."""
    one_double: float
    """From here on float64's sigmoid is exactly 1."""
    fading: float
    """Below this the gradient of BCELoss for label 1 is no longer -1 (it decays like exp z)."""


def edges() -> Edges:
    """Find all of them."""
    return Edges(
        _edge(lambda z: float(torch.tensor(z).sigmoid()) == 1, 0, 100),
        _edge(lambda z: float(torch.tensor(z).sigmoid()) > 0, -200, 0),
        _edge(lambda z: float(torch.tensor(z, dtype=torch.float64).sigmoid()) == 1, 0, 100),
        _edge(lambda z: _asked(_through, z, 1.0)[1] < -0.99, -60, -10),
    )


def _edge(beyond: Callable[[float], bool], low: float, high: float) -> float:
    """The value between low and high at which `beyond` becomes true."""
    while not math.isclose(low, high, rel_tol=0, abs_tol=1e-5):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return high
