"""The networks of two stories as people write them: nn.Module and torch.optim, one by one. Lanes must equal these."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Net:
    """Linear - hidden activation - Linear to one output, BatchNorm1d in front if wanted; and how it is trained."""

    inputs: int
    width: int
    hidden: Literal["sigmoid", "relu", "none"] = "sigmoid"
    loss: Literal["probabilities", "logits"] = "probabilities"
    """BCELoss behind a sigmoid, or BCEWithLogitsLoss without one."""
    norm: bool = False
    optimizer: Literal["adam", "sgd"] = "adam"


@dataclass(frozen=True)
class Pace:
    """A learning rate that is multiplied by `factor` every `every` steps (0: never), as StepLR does."""

    rate: float
    every: int = 0
    factor: float = 1.0

    def at(self, step: int) -> float:
        """The rate of step number `step` (the first is 0)."""
        return self.rate * self.factor ** (step // self.every) if self.every else self.rate

    def travel(self, steps: int) -> float:
        """The sum of the rates of the first `steps` steps: about how far Adam can carry one weight."""
        if not self.every:
            return self.rate * steps
        whole, rest = divmod(steps, self.every)
        stages = [self.every] * whole + [rest]
        return sum(n * self.rate * self.factor**i for i, n in enumerate(stages))


HIDDEN: dict[str, Callable[[], nn.Module]] = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "none": nn.Identity}


def module(net: Net, seed: int) -> nn.Sequential:
    """The network with torch's default initial weights under this seed; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first, last = nn.Linear(net.inputs, net.width), nn.Linear(net.width, 1)
    front = [nn.BatchNorm1d(net.inputs)] if net.norm else []
    back = [nn.Sigmoid()] if net.loss == "probabilities" else []
    return nn.Sequential(*front, first, HIDDEN[net.hidden](), last, *back)


def loss_of(net: Net, weights: Tensor | None = None) -> nn.Module:
    """The loss that belongs to the network's last layer; `weights` (n,) count some rows more than others."""
    return nn.BCELoss(weights) if net.loss == "probabilities" else nn.BCEWithLogitsLoss(weights)


def optimizer_of(net: Net, model: nn.Module, rate: float) -> torch.optim.Optimizer:
    """torch's optimizer with its defaults but for the rate."""
    kind = torch.optim.Adam if net.optimizer == "adam" else torch.optim.SGD
    return kind(model.parameters(), lr=rate)


def train(net: Net, model: nn.Sequential, pace: Pace, batches: Iterable[tuple[Tensor, Tensor]]) -> nn.Sequential:
    """Train in place on batches of x (n, inputs) and y (n,), the plain way, and return the network."""
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
