"""The networks of two studies in plain PyTorch, trained one by one. Lanes must give the same results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Net:
    """Linear - hidden activation - Linear to one output, optionally BatchNorm1d in front; and how it is trained."""

    inputs: int
    width: int
    hidden: Literal["sigmoid", "relu", "none"] = "sigmoid"
    loss: Literal["probabilities", "logits"] = "probabilities"
    """BCELoss after a sigmoid, or BCEWithLogitsLoss without one."""
    norm: bool = False
    optimizer: Literal["adam", "sgd"] = "adam"


@dataclass(frozen=True)
class Pace:
    """A learning rate that is multiplied by `factor` every `every` steps (0: never), like StepLR."""

    rate: float
    every: int = 0
    factor: float = 1.0

    def at(self, step: int) -> float:
        """The rate of step number `step` (the first is 0)."""
        return self.rate * self.factor ** (step // self.every) if self.every else self.rate

    def travel(self, steps: int) -> float:
        """The sum of the rates of the first `steps` steps: about how far Adam can move one weight."""
        if not self.every:
            return self.rate * steps
        whole, rest = divmod(steps, self.every)
        stages = [self.every] * whole + [rest]
        return sum(n * self.rate * self.factor**i for i, n in enumerate(stages))


HIDDEN: dict[str, Callable[[], nn.Module]] = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "none": nn.Identity}


def module(net: Net, seed: int) -> nn.Sequential:
    """The network with torch's default initial weights under this seed; the global random state is restored."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first, last = nn.Linear(net.inputs, net.width), nn.Linear(net.width, 1)
    front = [nn.BatchNorm1d(net.inputs)] if net.norm else []
    back = [nn.Sigmoid()] if net.loss == "probabilities" else []
    return nn.Sequential(*front, first, HIDDEN[net.hidden](), last, *back)


def loss_of(net: Net, weights: Tensor | None = None) -> nn.Module:
    """The loss that fits the network's last layer; `weights` (n,) weighs the rows."""
    return nn.BCELoss(weights) if net.loss == "probabilities" else nn.BCEWithLogitsLoss(weights)


def optimizer_of(net: Net, model: nn.Module, rate: float) -> torch.optim.Optimizer:
    """torch's optimizer with default options except for the rate."""
    kind = torch.optim.Adam if net.optimizer == "adam" else torch.optim.SGD
    return kind(model.parameters(), lr=rate)


def train(net: Net, model: nn.Sequential, pace: Pace, batches: Iterable[tuple[Tensor, Tensor]]) -> nn.Sequential:
    """Train in place on batches of x (n, inputs) and y (n,) in plain PyTorch, and return the network."""
    loss_fn, optimizer = loss_of(net), optimizer_of(net, model, pace.rate)
    kwargs = {"step_size": pace.every or 10**9, "gamma": pace.factor}
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, **kwargs)
    for x, y in batches:
        loss = loss_fn(model(x).squeeze(1), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    return model
