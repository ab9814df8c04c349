"""The step of all lanes at once: gradients by vmap, traced once per shape; updates by the person's own optimizer."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from unstuck.remedies.treatment import Trial
from unstuck.tape.interpreter import CannotReplay, run
from unstuck.tape.model import Update
from unstuck.tape.program import Program

TRACES = 12
"""Distinct programs and shapes that are traced; further ones run untraced (slower per step, no cost to begin)."""
LONGEST = 3_000
"""Programs with more calls than this are not replayed: tracing them would cost more than the script."""
KNOWN = (
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
)
"""Optimizers that treat every element alone, so that lanes can share one."""
STAND_INS = {"by hand": "SGD", "SparseAdam": "Adam"}


def stackable(trial: Trial) -> str:
    """Why the trial cannot run in lanes; "" if it can."""
    for number in {number for number, _ in trial.holders.values()}:
        optimizer = trial.tape.optimizers[number]
        if not optimizer.ours:
            return f"its optimizer {optimizer.name} is its own"
        if optimizer.kind not in KNOWN and optimizer.kind not in STAND_INS:
            return f"{optimizer.name} does not treat each weight alone"
    if any(u.closure for u in trial.tape.updates):
        return "its optimizer evaluates the loss several times per step"
    for program in (trial.programs[number] for number in sorted({p.program for p in trial.tape.passes})):
        if program.missing:
            return program.missing
        if len(program.calls) > LONGEST:
            return f"its step has {len(program.calls)} calls"
    return ""


class Traces:
    """Traced steps, shared by trials that differ only in weights, rates or options."""

    def __init__(self) -> None:
        self._made: dict[Any, tuple[list[Any], Callable[..., Any]]] = {}

    def of(self, key: Any, baked: list[Any], make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
        """The trace for these shapes; made if there is none yet."""
        key = (key, *map(id, baked))
        if key not in self._made:
            self._made[key] = (baked, make())  # what is baked in is held, so that its ids mean nothing else
        return self._made[key][1]


class Lanes:
    """All lanes of one trial: stacked weights, their optimizers, and the traced step."""

    def __init__(self, trial: Trial, start: dict[str, Tensor], factors: Tensor, traces: Traces | None = None) -> None:
        """`start`: (lanes, *shape) by name; `factors`: (lanes,) multiplies each lane's learning rate."""
        self.trial, self.factors = trial, factors
        self.traces = Traces() if traces is None else traces
        self.trained = {name: torch.nn.Parameter(start[name]) for name in trial.holders}
        self.fixed = {name: weight[0] for name, weight in start.items() if name not in trial.holders}
        self.optimizers = {number: self._optimizer(number) for number in sorted({n for n, _ in trial.holders.values()})}
        self._steps: dict[Any, Callable[..., Any]] = {}
        self._steady = {}

    def _optimizer(self, number: int) -> torch.optim.Optimizer:
        name = self.trial.tape.optimizers[number].kind
        kind = getattr(torch.optim, STAND_INS.get(name, name))
        groups = []
        for group, options in enumerate(self.trial.options[number]):
            mine = [self.trained[n] for n, holder in self.trial.holders.items() if holder == (number, group)]
            if mine:
                groups.append({**_usable(options, kind), "params": mine})
        many = {"foreach": True} if "foreach" in inspect.signature(kind.__init__).parameters else {}
        return kind(groups, **many)  # one call for all tensors: the loop over them would cost more than the arithmetic

    @property
    def bytes(self) -> int:
        """Bytes of the weights of all lanes, with a gradient and two moments each."""
        return 4 * sum(t.numel() * t.element_size() for t in self.trained.values())

    def step(
        self, program: int, outside: tuple[Tensor, ...], wanted: int | None
    ) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
        """One backward in every lane: (loss per lane, the requested value per lane, gradients by name)."""
        reached = [n for n in self.trial.programs[program].weights() if n in self.trained]
        key = (program, wanted, tuple((tuple(t.shape), t.dtype) for t in outside))
        if key not in self._steps:
            self._steps[key] = self._trace(program, wanted, reached, outside)
        with torch.no_grad():
            gradients, loss, value = self._steps[key](self._stacked(reached), outside)
        return loss, value, {n: g for n, g in gradients.items() if n in self.trained}

    def _stacked(self, reached: list[str]) -> dict[str, Tensor]:
        """What the lanes differ by: their weights, or a stand-in if nothing is trained."""
        return {n: self.trained[n].detach() for n in reached} or {"": self.factors}

    def _trace(
        self, number: int, wanted: int | None, reached: list[str], outside: tuple[Tensor, ...]
    ) -> Callable[..., Any]:
        program, stacked = self.trial.programs[number], self._stacked(reached)
        step = lane_step(program, wanted, self.fixed, self.trial.constants)
        if len(self._steps) >= TRACES:
            return step
        baked = [program, *(self.trial.start[n] for n in self.fixed), *self.trial.constants.values()]
        shapes = tuple((name, tuple(t.shape), t.dtype) for name, t in [*stacked.items(), *enumerate(outside)])
        return self.traces.of((wanted, shapes), baked, lambda: make_fx(step)(stacked, outside))

    def update(self, update: Update, emptied: bool = False) -> None:
        """One optimizer step in every lane, at the recorded rates times the trial's and each lane's own factor.

        `emptied`: the script clears the gradients just before, so that the step sees none.
        """
        optimizer = self.optimizers.get(update.optimizer)
        if optimizer is None:
            return
        if emptied:
            optimizer.zero_grad()
        if update.fresh and not self.trial.kept:
            optimizer.state.clear()  # as a new optimizer in the place of the old one begins
        mine = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        bound = self.trial.clip.get(update.optimizer)
        if bound is not None:
            _clip(mine, bound)
        self._set_rates(optimizer, update)
        uniform = bool((self.factors == 1).all())
        before = None if uniform else [p.detach().clone() for p in mine]
        optimizer.step()
        if before is not None:  # a step is linear in its rate: going `factor` times as far is a step at factor x rate
            with torch.no_grad():
                for p, old in zip(mine, before, strict=True):
                    factor = self.factors.reshape(-1, *[1] * (p.dim() - 1)).to(p.dtype)
                    p.copy_(torch.lerp(old, p, factor))

    def _set_rates(self, optimizer: torch.optim.Optimizer, update: Update) -> None:
        number = update.optimizer
        rates = self._steady.setdefault(number, update.rates) if self.trial.steady else update.rates
        held = sorted({group for n, (o, group) in self.trial.holders.items() if o == number})
        for group, index in zip(optimizer.param_groups, held, strict=True):
            recorded = rates[index] if index < len(rates) else math.nan
            base = self.trial.options[number][index].get("lr", recorded)
            rate = recorded if not math.isnan(recorded) else base
            group["lr"] = (rate if isinstance(rate, float | int) else 1.0) * self.trial.rate


def _forward(
    program: Program,
    wanted: int | None,
    fixed: dict[str, Tensor],
    constants: dict[str, Tensor],
    batch: tuple[Tensor, ...],
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    values = run(program, fixed, batch, constants)
    loss = values[program.loss].reshape(())
    return {}, loss, values[wanted] if wanted is not None else loss


def lane_step(
    program: Program, wanted: int | None, fixed: dict[str, Tensor], constants: dict[str, Tensor]
) -> Callable[..., Any]:
    """(stacked weights, outside) -> (gradients, losses, wanted values), all with a leading lane dimension."""

    def loss(weights: dict[str, Tensor], outside: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        values = run(program, {**fixed, **weights}, outside, constants)
        total = values[program.loss]
        if total.numel() != 1:
            raise CannotReplay("what it differentiates is not one number")
        total = total.reshape(())
        return total, values[wanted].detach() if wanted is not None else total.detach()

    def every(weights: dict[str, Tensor], outside: tuple[Tensor, ...]) -> tuple[Any, Tensor, Tensor]:
        step = vmap(grad_and_value(loss, has_aux=True), in_dims=(0, None), randomness="different")
        gradients, (total, value) = step(weights, outside)
        return gradients, total, value

    return every


def _usable(options: dict[str, Any], kind: type) -> dict[str, Any]:
    """The options that this class takes; choices of implementation (fused, foreach) are left to torch."""
    taken = set(inspect.signature(kind.__init__).parameters)
    left = {"params", "fused", "foreach", "capturable", "differentiable", "decoupled_weight_decay"}
    return {
        k: tuple(v) if isinstance(v, list) else v for k, v in options.items() if k in taken - left and v is not None
    }


def warm() -> None:
    """Trace and train a tiny network: pays, ahead of time, for what torch imports at the first trace."""
    weight = torch.nn.Parameter(torch.zeros(2, 3, 1))
    step = vmap(grad_and_value(lambda w, x: (x @ w).square().mean()), in_dims=(0, None), randomness="different")
    weight.grad, _ = make_fx(step)(weight.detach(), torch.ones(4, 3))(weight.detach(), torch.ones(4, 3))
    torch.optim.Adam([weight], foreach=True).step()


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
