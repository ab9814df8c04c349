"""Small networks trained from a recipe, so that two of them can be compared step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unstuck.tabular.scaling import Recipe, realise

FEATURES, HIDDEN, CLASSES, BATCH = 6, 8, 3, 16


@dataclass(frozen=True)
class Path:
    """Losses (steps,) and outputs (steps, batch, classes) on the way, and the parameters at the end."""

    losses: Tensor
    outputs: Tensor
    final: list[Tensor]


def batches(steps: int, dtype: torch.dtype = torch.float64) -> list[tuple[Tensor, Tensor]]:
    """Inputs in [0, 1] whose class depends on them; the same ten batches over and over."""
    generator = torch.Generator().manual_seed(7)
    x = torch.rand(10, BATCH, FEATURES, generator=generator, dtype=torch.float64)
    turned = (x - 0.5) @ torch.randn(FEATURES, CLASSES, generator=generator, dtype=torch.float64)
    y = (turned + 0.5 * turned.roll(1, 2).abs()).argmax(2)
    return [(x[i % 10].to(dtype), y[i % 10]) for i in range(steps)]


def network(bias: bool, dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Sequential:
    """6-8-3 with a ReLU, drawn as torch draws it."""
    torch.manual_seed(seed)
    first, second = nn.Linear(FEATURES, HIDDEN, bias=bias), nn.Linear(HIDDEN, CLASSES, bias=bias)
    return nn.Sequential(first, nn.ReLU(), second).to(dtype)


def walk(
    recipe: Recipe,
    see: Callable[[Tensor], Tensor] = lambda x: x,
    model: nn.Sequential | None = None,
    steps: int = 300,
    before_step: Callable[[Any], object] = lambda model: None,
    loss_scale: float = 1.0,
    schedule: Callable[[int], float] | None = None,
    prepare: Callable[[Any, Any], object] = lambda model, optimizer: None,
) -> Path:
    """Train `model` (default: the network above, of the recipe's kind) by the recipe on batches seen through `see`."""
    model = model or network(recipe.layers[0].bias is not None)
    optimizer = realise(recipe, model)
    prepare(model, optimizer)
    dtype = next(model.parameters()).dtype
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule) if schedule else None
    losses, outputs = [], []
    for x, y in batches(steps, dtype):
        optimizer.zero_grad()
        logits = model(see(x))
        loss = nn.functional.cross_entropy(logits, y)
        (loss * loss_scale).backward()
        before_step(model)
        optimizer.step()
        if scheduler:
            scheduler.step()
        losses.append(loss.item())
        outputs.append(logits.detach())
    final = [
        p.detach().clone()
        for module in model
        if isinstance(module, nn.Linear)
        for p in (module.weight, module.bias)
        if p is not None
    ]
    return Path(torch.tensor(losses), torch.stack(outputs), final)


def apart(one: Path, other: Path) -> float:
    """The largest difference between the outputs of two paths, relative to their size."""
    return float((one.outputs - other.outputs).abs().max() / one.outputs.abs().max())
