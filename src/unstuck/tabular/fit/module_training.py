"""Train an `nn.Module`: loss, learning rate, epochs. Needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from unstuck.tabular.fit.adam import BETA1, BETA2
from unstuck.tabular.fit.batches import InMemory, Rows
from unstuck.tabular.fit.loss import Loss, Sigmoid, Softmax
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.pinball import Pinball
from unstuck.tabular.fit.sweep import ENOUGH, RATES, STEPS
from unstuck.tabular.fit.train import Epoch, schedule

FEWER = 3
"""If rates cannot be tried in parallel, every third is tried, with half the steps."""
JUDGED = 4096
BETAS = (BETA1, BETA2)


@dataclass(frozen=True)
class Batch:
    """Rows as tensors: x (b, d), y (b,) or (b, k), w (b,)."""

    x: Tensor
    y: Tensor
    w: Tensor

    @classmethod
    def of(cls, rows: Rows, device: str) -> Batch:
        """From one lane's rows, (1, b, ...), without the column of ones of the built-in networks."""
        x, y = torch.from_numpy(rows.x[0, :, :-1]), torch.from_numpy(rows.y[0])
        w = torch.ones(len(x)) if rows.w is None else torch.from_numpy(rows.w[0])
        return cls(x.to(device), y.to(device), w.to(device))

    def split(self, size: int) -> Iterator[Batch]:
        """Parts of at most `size` rows."""
        for parts in zip(self.x.split(size), self.y.split(size), self.w.split(size), strict=True):
            yield Batch(*parts)


def shaped(z: Tensor, loss: Loss) -> Tensor:
    """A module's output as (b, k). (b,) becomes (b, 1); two logits of a binary task become their difference."""
    z = z[:, None] if z.ndim == 1 else z
    return z[:, 1:] - z[:, :1] if isinstance(loss, Sigmoid) and loss.outputs == 1 and z.shape[1] == 2 else z


def losses(z: Tensor, y: Tensor, loss: Loss) -> Tensor:
    """The loss of every row, (b,), as in `unstuck.tabular.fit.loss`."""
    if isinstance(loss, Softmax):
        return functional.cross_entropy(z, y, reduction="none")
    if isinstance(loss, Sigmoid):
        return functional.binary_cross_entropy_with_logits(z, y, reduction="none").sum(-1)
    if isinstance(loss, Pinball):
        q, off = torch.tensor(loss.levels, dtype=z.dtype, device=z.device), y - z
        return torch.maximum(q * off, (q - 1) * off).sum(-1)
    return 0.5 * (z - y).square().sum(-1)


def train(net: nn.Module, batches: InMemory, loss: Loss, plan: Plan, watch: Any) -> None:
    """Train to the end and restore the weights of the epoch with the lowest held-out loss."""
    held, own = Batch.of(batches.held(), plan.device), Batch.of(batches.own(), plan.device)
    adam = optimizer(net, plan.options.decay)
    best, least, since, step = deepcopy(net.state_dict()), float("inf"), 0, 0
    if plan.goes_on:
        least = judged(net, held, loss)
    patience, steps, curve = max(plan.epochs // 4, 3), batches.steps * plan.epochs, []
    for number in range(plan.epochs):
        for rows in batches.epoch(number):
            advance(net, adam, Batch.of(rows, plan.device), loss, plan.rate * schedule(step / steps))
            step += 1
        cost, since = judged(net, held, loss), since + 1
        if cost < least:
            best, least, since = deepcopy(net.state_dict()), cost, 0
        curve.append(Epoch(number + 1, plan.epochs, judged(net, own, loss), cost))
        watch(type(net).__name__, Course(curve))
        if since > patience:
            break
    net.load_state_dict(best)


@dataclass(frozen=True)
class Plan:
    """The hyperparameters of a module's training; `goes_on`: start from weights worth keeping."""

    options: Options
    rate: float
    epochs: int
    device: str
    goes_on: bool = False


@dataclass(frozen=True)
class Course:
    """The epochs so far, for the callback."""

    curve: list[Epoch]


def optimizer(net: nn.Module, decay: float) -> torch.optim.AdamW:
    """AdamW as in the built-in networks: weights decay, biases and scales do not."""
    own = [p for p in net.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in own if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in own if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], betas=BETAS)


def advance(net: nn.Module, adam: torch.optim.Optimizer, part: Batch, loss: Loss, rate: float) -> None:
    """One step at `rate`."""
    net.train()
    for group in adam.param_groups:
        group["lr"] = rate
    adam.zero_grad()
    (losses(shaped(net(part.x), loss), part.y, loss) * part.w).mean().backward()
    adam.step()


@torch.no_grad()
def judged(net: nn.Module, rows: Batch, loss: Loss) -> float:
    """Mean loss; infinite instead of NaN."""
    net.eval()
    total = sum(float((losses(shaped(net(p.x), loss), p.y, loss) * p.w).sum()) for p in rows.split(JUDGED))
    cost = total / float(rows.w.sum())
    return cost if cost == cost else float("inf")


def rate_of(net: nn.Module, batches: InMemory, loss: Loss, device: str) -> float:
    """The learning rate with the lowest loss after short trainings from the net's weights, which do not change.

    All rates are tried in parallel if `torch.func` can vectorise the module, otherwise one by one.
    """
    parts = [Batch.of(rows, device) for rows in islice(chain.from_iterable(map(batches.epoch, count())), STEPS)]
    held = next(Batch.of(batches.held(), device).split(ENOUGH))
    try:
        rates, ends = RATES, _side_by_side(deepcopy(net), parts, held, loss)
    except Exception:  # an error of the module itself is raised again below, one by one
        rates = RATES[::FEWER]
        ends = [_alone(deepcopy(net), parts[: len(parts) // 2], held, loss, rate) for rate in rates]
    ends = [end if end == end else float("inf") for end in ends]
    return rates[ends.index(min(ends))]


def _alone(net: nn.Module, parts: list[Batch], held: Batch, loss: Loss, rate: float) -> float:
    adam = optimizer(net, 0.0)
    for step, part in enumerate(parts):
        advance(net, adam, part, loss, rate * schedule(step / len(parts)))
    return judged(net, held, loss)


def _side_by_side(net: nn.Module, parts: list[Batch], held: Batch, loss: Loss) -> list[float]:
    lanes = len(RATES)
    stacked = {
        k: v.detach().expand(lanes, *v.shape).clone() for k, v in [*net.named_parameters(), *net.named_buffers()]
    }
    own = {k: stacked.pop(k) for k, p in net.named_parameters() if p.requires_grad}

    def cost(own: dict[str, Tensor], rest: dict[str, Tensor], part: Batch) -> Tensor:
        z = shaped(functional_call(net, own | rest, (part.x,)), loss)
        return (losses(z, part.y, loss) * part.w).mean()

    net.train()
    first, second = ({k: torch.zeros_like(v) for k, v in own.items()} for _ in range(2))
    for step, part in enumerate(parts):
        slope = vmap(lambda a, b, part=part: grad(cost)(a, b, part), randomness="different")(own, stacked)
        rates = torch.tensor([rate * schedule(step / len(parts)) for rate in RATES], device=part.x.device)
        for k, p in own.items():
            _move(p, slope[k], first[k], second[k], rates, step + 1)
    net.eval()
    with torch.no_grad():
        return vmap(lambda a, b: cost(a, b, held), randomness="different")(own, stacked).tolist()


def _move(p: Tensor, slope: Tensor, first: Tensor, second: Tensor, rates: Tensor, step: int) -> None:
    first.lerp_(slope, 1 - BETA1)
    second.lerp_(slope.square(), 1 - BETA2)
    size = (second / (1 - BETA2**step)).sqrt().add_(1e-8)
    p.sub_(rates.view(-1, *[1] * (p.ndim - 1)) * (first / (1 - BETA1**step)) / size)
