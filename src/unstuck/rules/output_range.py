"""The network's last function cannot produce what the targets ask for.

## Why it hurts
A ReLU at the end gives no negative number, a sigmoid none above 1, a tanh none beyond plus or minus 1. Targets outside
of that range cannot be reached; the best the network can do is sit at the edge, where its gradient is zero. In front of
a cross-entropy the same holds for scores: a ReLU makes every score at least zero, so no class can be ruled out, and a
row whose scores are all cut off has no gradient at all.

## How it is seen
The range of the last calls before the loss (with the factors and offsets behind them) is compared with the recorded
targets; in front of a loss on scores, any function that cuts the scores off on one side is named.

## What to do
End with the plain linear layer. If the range is wanted, scale the targets into it, and the outputs back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.drop_output_activation import DropOutputActivation
from unstuck.signals.losses import Ending, Losses, flat
from unstuck.tape.program import Call

FAULT = "output-range"
OUTSIDE = 0.02
"""Share of targets beyond reach that is too many (single outliers aside)."""
EDGE = 0.01
"""Targets within this share of the targets' own spread of the edge count as reached."""
RANGES: dict[str, tuple[float, float]] = {
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hardtanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "softplus": (0.0, math.inf),
    "exp": (0.0, math.inf),
    "abs": (0.0, math.inf),
    "square": (0.0, math.inf),
    "gelu": (-0.17, math.inf),
    "silu": (-0.28, math.inf),
    "elu": (-1.0, math.inf),
    "logsigmoid": (-math.inf, 0.0),
    "log_softmax": (-math.inf, 0.0),
}
CUTTING = {"relu", "relu6", "tanh", "hardtanh", "softplus", "exp", "abs", "square", "gelu", "silu", "softsign"}
"""Functions that are out of place on scores (those that make probabilities belong to another rule)."""
ON_SCORES = {"cross_entropy", "binary_cross_entropy_with_logits", "multilabel_soft_margin_loss", "soft_margin_loss"}
PROBABILITIES = {"softmax", "log_softmax", "sigmoid", "logsigmoid"}
NUMBERS = {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "sub", "subtract", "rsub"}
MOVING = {"mul", "add", "sub", "div", "truediv", "rsub"}


def check(endings: Losses) -> Iterator[Finding]:
    """What stands between the last layer and each loss."""
    for ending in endings.endings:
        scores = _scores(ending)
        if scores is not None:
            yield _of_scores(scores, ending)
        elif ending.loss.name in NUMBERS:
            yield from _of_numbers(endings, ending)


def _scores(ending: Ending) -> Call | None:
    """The function that cuts scores off, where scores are what is made: before the loss's own or a given softmax."""
    behind = [c for c in ending.tail if not c.op.hands_on]
    if ending.loss.name in ON_SCORES:
        return behind[-1] if behind and behind[-1].name in CUTTING else None
    first = next((i for i, c in enumerate(behind) if c.name in PROBABILITIES), 0)
    return behind[first - 1] if first and behind[first - 1].name in CUTTING else None


def _of_scores(call: Call, ending: Ending) -> Finding:
    low, high = RANGES[call.name]
    said = f"a {call.name} stands behind the last layer: {ending.loss.name} gets scores from {_range(low, high)} only"
    remedies = (DropOutputActivation(call.site, call.name),) if call.site is not None else ()
    return Finding(
        FAULT, said, call.site, (Evidence("range of the scores", _range(low, high), "any number"),), remedies
    )


def _of_numbers(endings: Losses, ending: Ending) -> Iterator[Finding]:
    found = reach(ending)
    targets = flat(endings.targets(ending))
    if found is None or len(targets) < 2:
        return
    call, low, high = found
    slack = EDGE * float(targets.std(correction=0))
    outside = float(((targets < low - slack) | (targets > high + slack)).double().mean())
    if outside <= OUTSIDE:
        return
    said = (
        f"the output ends with {call.name} and stays in {_range(low, high)}; {outside:.0%} of the targets lie outside"
    )
    evidence = (
        Evidence("share of targets out of reach", outside, "0"),
        Evidence("targets", _range(float(targets.min()), float(targets.max())), f"within {_range(low, high)}"),
    )
    remedies = (DropOutputActivation(call.site, call.name),) if call.site is not None else ()
    yield Finding(FAULT, said, call.site, evidence, remedies)


def reach(ending: Ending) -> tuple[Call, float, float] | None:
    """The last function with a limited range, and the range that is left behind the factors and offsets after it."""
    moves: list[Call] = []
    for call in reversed(ending.bent):
        if call.name in RANGES or (call.name in ("clamp", "clip") and _bounds(call)):
            low, high = RANGES.get(call.name) or _bounds(call) or (-math.inf, math.inf)
            return _moved(call, low, high, moves)
        if call.name not in MOVING:
            return None
        moves.append(call)
    return None


def _bounds(call: Call) -> tuple[float, float] | None:
    low, high = call.argument(1, "min"), call.argument(2, "max")
    given = [v for v in (low, high) if v is not None]
    if not given or not all(isinstance(v, int | float) for v in given):
        return None
    return (-math.inf if low is None else low), (math.inf if high is None else high)


def _moved(call: Call, low: float, high: float, moves: list[Call]) -> tuple[Call, float, float] | None:
    for move in reversed(moves):
        numbers = [a for a in (*move.args, *move.kwargs.values()) if isinstance(a, int | float)]
        if len(numbers) != 1 or isinstance(numbers[0], bool):
            return None
        low, high = sorted(_step(move, edge, numbers[0]) for edge in (low, high))
    return call, low, high


def _step(move: Call, edge: float, number: float) -> float:
    if move.name == "mul":
        return edge * number if number else 0.0
    if move.name in ("div", "truediv"):
        return edge / number if number else edge
    if move.name == "add":
        return edge + number
    reverse = move.name == "rsub" or isinstance(move.args[0], int | float)
    return number - edge if reverse else edge - number


def _range(low: float, high: float) -> str:
    return f"{low:.4g} .. {high:.4g}"


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(7)
x = torch.randn(500, 4)
y = x[:, :1] - x[:, 1:2] * x[:, 2:3]
model = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1){last})
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(15):
    for rows in torch.randperm(500).split(25):
        loss = nn.functional.mse_loss(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(last=", nn.Sigmoid()")
QUIET = _SCRIPT.format(last="")
