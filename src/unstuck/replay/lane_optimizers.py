"""The person's optimizers over lanes: one for all lanes where it treats every number alone, else one per lane."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from unstuck.remedies.treatment import Trial
from unstuck.tape.model import Update

ALONE = (
    "SGD",
    "Adam",
    "AdamW",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Adamax",
    "NAdam",
    "RAdam",
    "ASGD",
    "Rprop",
    "by hand",
    "SparseAdam",
)
"""Optimizers that treat every element alone, so that lanes can share one."""
STAND_INS = {"by hand": "SGD", "SparseAdam": "Adam"}
SMALL = 32 * 2**20
"""Bytes of stacked weights up to which all tensors are updated in one call: a loop over small ones would cost more than
the arithmetic, and temporaries of large ones more than the loop."""
Closure = Callable[[int], Tensor]
"""The loss of a lane, by its number; leaves the gradients in its weights."""


def kind_of(name: str) -> type[torch.optim.Optimizer] | None:
    """The class of an optimizer of torch's, by its name on the tape."""
    found = getattr(torch.optim, STAND_INS.get(name, name), None)
    return found if isinstance(found, type) and issubclass(found, torch.optim.Optimizer) else None


@dataclass
class LaneOptimizer:
    """One optimizer of the tape over all lanes of a trial. `weights`: (lanes, *shape) by name, updated in place."""

    trial: Trial
    number: int
    weights: dict[str, torch.nn.Parameter]
    factors: Tensor
    """(lanes,) multiplies each lane's learning rate."""
    _ours: list[torch.optim.Optimizer] = field(init=False)
    _steady: tuple[float, ...] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        name = self.trial.classes.get(self.number, self.trial.tape.optimizers[self.number].kind)
        self.shared = name in ALONE
        self._names = {n: group for n, (number, group) in self.trial.holders.items() if number == self.number}
        self._lanes = [] if self.shared else [self._lane(i) for i in range(len(self.factors))]
        self._ours = [self._made(name, held) for held in ([self.weights] if self.shared else self._lanes)]

    def _lane(self, lane: int) -> dict[str, torch.nn.Parameter]:
        """One lane's weights, in the memory of the stacked ones."""
        return {n: torch.nn.Parameter(self.weights[n].detach()[lane]) for n in self._names}

    def _made(self, name: str, held: dict[str, torch.nn.Parameter]) -> torch.optim.Optimizer:
        kind = kind_of(name)
        assert kind is not None
        groups = []
        for group, options in enumerate(self.trial.options[self.number]):
            mine = [held[n] for n, index in self._names.items() if index == group]
            if mine:
                groups.append({**usable(options, kind), "params": mine})
        if len(groups) == 1 and "line_search_fn" in inspect.signature(kind.__init__).parameters:
            return kind(**groups[0])  # LBFGS takes one group, and its options as arguments
        size = sum(held[n].numel() * held[n].element_size() for n in self._names)
        known = "foreach" in inspect.signature(kind.__init__).parameters
        many: dict[str, Any] = {"foreach": size <= SMALL} if known else {}
        return kind(groups, **many)

    def zero_grad(self) -> None:
        """Clear the gradients of all lanes."""
        for name in self._names:
            self.weights[name].grad = None

    def step(self, update: Update, closure: Closure | None = None) -> None:
        """One step in every lane, at the recorded rates times the trial's and each lane's own factor."""
        if update.fresh and not self.trial.kept:
            for optimizer in self._ours:
                optimizer.state.clear()  # as a new optimizer in the place of the old one begins
        rates = self._rates(update)
        if self.shared:
            self._together(rates)
        else:
            for lane, optimizer in enumerate(self._ours):
                self._alone(lane, optimizer, rates, closure)

    def _together(self, rates: list[float]) -> None:
        mine = [self.weights[n] for n in self._names if self.weights[n].grad is not None]
        bound = self.trial.clip.get(self.number)
        if bound is not None:
            _clip(mine, bound)
        _set(self._ours[0], rates)
        uniform = bool((self.factors == 1).all())
        before = None if uniform else [p.detach().clone() for p in mine]
        self._ours[0].step()
        if before is not None:  # a step is linear in its rate: going `factor` times as far is a step at factor x rate
            with torch.no_grad():
                for p, old in zip(mine, before, strict=True):
                    factor = self.factors.reshape(-1, *[1] * (p.dim() - 1)).to(p)
                    p.copy_(torch.lerp(old, p, factor))

    def _alone(self, lane: int, optimizer: torch.optim.Optimizer, rates: list[float], closure: Closure | None) -> None:
        for name, weight in self._lanes[lane].items():
            given = self.weights[name].grad
            weight.grad = None if given is None else given[lane]
        _set(optimizer, [rate * float(self.factors[lane]) for rate in rates])
        bound = self.trial.clip.get(self.number)
        if bound is not None:
            torch.nn.utils.clip_grad_norm_(self._lanes[lane].values(), bound)
        if closure is None:
            optimizer.step()
        else:
            evaluated: Any = lambda: closure(lane)  # torch's own optimizers take a tensor for the loss
            optimizer.step(evaluated)

    def lane_weights(self, lane: int) -> dict[str, torch.nn.Parameter]:
        """The weights that a closure of this lane leaves its gradients in."""
        return self._lanes[lane]

    def _rates(self, update: Update) -> list[float]:
        """The rate of each group that holds weights."""
        if self.trial.steady and self._steady is None:
            self._steady = update.rates
        rates = update.rates if self._steady is None else self._steady
        held = sorted(set(self._names.values()))
        return [self._rate(rates, index) for index in held]

    def _rate(self, rates: tuple[float, ...], index: int) -> float:
        recorded = rates[index] if index < len(rates) else math.nan
        base = self.trial.options[self.number][index].get("lr", recorded)
        rate = recorded if not math.isnan(recorded) else base
        return (rate if isinstance(rate, float | int) else 1.0) * self.trial.rate


def _set(optimizer: torch.optim.Optimizer, rates: list[float]) -> None:
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def usable(options: dict[str, Any], kind: type) -> dict[str, Any]:
    """The options that this class takes; choices of implementation (fused, foreach) are left to torch."""
    taken = set(inspect.signature(kind.__init__).parameters)
    left = {"params", "fused", "foreach", "capturable", "differentiable", "decoupled_weight_decay"}
    return {
        k: tuple(v) if isinstance(v, list) else v for k, v in options.items() if k in taken - left and v is not None
    }


def _clip(parameters: list[torch.nn.Parameter], bound: float) -> None:
    """Scale every lane's gradient down to the norm `bound`, as clip_grad_norm_ does for one."""
    squares = [p.grad.detach().flatten(1).square().sum(1) for p in parameters if p.grad is not None]
    if not squares:
        return
    norm = torch.stack(squares).sum(0).sqrt()
    shrink = (bound / (norm + 1e-6)).clamp(max=1.0)
    for p in parameters:
        if p.grad is not None:
            p.grad.mul_(shrink.reshape(-1, *[1] * (p.dim() - 1)).to(p.grad.dtype))
