"""Whether each trained weight gets a gradient, and moves by a sensible share of its size.

## What it asks

Over the first steps: which trained weights does no gradient reach, which get exactly 0, which updates are lost to
rounding, and which weights move by more than their own size at a step?

## How

The first STEPS recorded steps are made again with the script's own optimizer; each weight is looked at before and after
its update. Where it is used is the line of the first call that reads it.

## What it costs

About STEPS steps.

## What is healthy

Every trained weight gets a gradient in some step and moves by a thousandth of its size or so at each. Weights whose
gradient is exactly 0 in every step lie behind dead units, a cut graph or a factor of 0; updates that are smaller than
the rounding of the weights' own type change nothing; steps larger than the weight itself forget what it held. A bias
alone without a gradient cancels: a distance of two outputs does not depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Literal

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded, Weights
from unstuck.micro.training import Training
from unstuck.signals.changed_gradients import changed
from unstuck.tape.model import Tape
from unstuck.tape.program import Weight
from unstuck.tape.site import Site

COST = 12
STEPS, FEWEST = 10, 4
"""Steps that are made again, and those without which nothing is told: a first layer behind weights that begin at 0 gets
its first gradient in the second step."""
LARGE = 1.0
"""A step's size over the weight's from which on it forgets what the weight held."""
LOST = 0.5
"""Share of the numbers with a gradient that a step leaves as they are, to the bit."""
TOLD = 3
"""Weights that are named."""
Kind = Literal["nowhere", "zero", "rounded", "large", "sound"]


@dataclass(frozen=True)
class Reached:
    """One trained weight over the first steps."""

    name: str
    gradient: float
    """Largest root mean square of its gradient."""
    connected: bool
    """The loss is made with it, as autograd sees it."""
    step: float
    """Median size of its step over its own size at the start; 0 for one that begins at 0."""
    lost: float
    """Median share of its numbers with a gradient that a step left as they are."""
    moved: bool
    """It is another at the end of the run than at its start."""
    travelled: float
    """How far it is from its start at the end of the run, over its size at the start; NaN where that is not known."""
    matrix: bool
    site: Site | None

    @property
    def kind(self) -> Kind:
        """What is the matter with it."""
        if not self.connected:
            return "nowhere"
        if self.gradient == 0:
            return "zero"
        if self.lost > LOST and not self.moved:
            return "rounded"
        return "large" if self.matrix and self.step > LARGE else "sound"


SAID = {
    "nowhere": "no gradient reaches {}, although an optimizer holds it and the step reads it",
    "zero": "the gradient of {} is exactly 0 in each of the first steps",
    "rounded": "the updates of {} are smaller than the rounding of its numbers: it stays as it is",
    "large": "each step changes {} by more than its whole size at the start",
}


@dataclass(frozen=True)
class Reach:
    """Every trained weight of the first steps."""

    weights: tuple[Reached, ...]
    steps: int

    @property
    def farthest(self) -> float:
        """How far the run takes any of the matrices with a gradient, over its size; NaN where that is not known."""
        ways = [w.travelled for w in self.weights if w.matrix and w.kind in ("rounded", "large", "sound")]
        return math.nan if any(map(math.isnan, ways)) else max(ways, default=math.nan)

    @property
    def why(self) -> str:
        """How many are sound, and the range of their steps."""
        sound = [w for w in self.weights if w.kind == "sound"]
        steps = [w.step for w in sound if w.matrix]
        sized = f", by {min(steps):.2g} to {max(steps):.2g} of their size at a step" if steps else ""
        return f"{len(sound)} of {len(self.weights)} trained weights get a gradient and move{sized}"

    @property
    def numbers(self) -> dict[str, float]:
        """Weights of each kind."""
        kinds = [w.kind for w in self.weights]
        return {kind: float(kinds.count(kind)) for kind in ("sound", *SAID) if kind in kinds}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """One for each kind of trouble."""
        return tuple(self._told())

    def _told(self) -> Iterator[Statement]:
        for kind, said in SAID.items():
            mine = [w for w in self.weights if w.kind == kind and not self._cancelled(w)]
            if mine:
                more = f" and {len(mine) - TOLD} other weights" if len(mine) > TOLD else ""
                named = f"{', '.join(w.name for w in mine[:TOLD])}{more}"
                yield Statement(said.format(named), mine[0].site, "reach", {"weights": len(mine)}, alone=True)

    def _cancelled(self, bias: Reached) -> bool:
        """Whether a bias gets no gradient though the matrix of its layer does: a difference of two outputs of the layer
        does not depend on it."""
        layer = bias.name.rpartition(".")[0]
        beside = (w for w in self.weights if w.matrix and w.kind == "sound" and w.name.rpartition(".")[0] == layer)
        return bool(layer) and bias.kind == "zero" and not bias.matrix and any(beside)


def ask(recorded: Recorded) -> Reach:
    """Make the first steps again. Raises NotApplicable where fewer than FEWEST can be made."""
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    if why := changed(recorded.tape):
        raise NotApplicable(why)
    tape, training = recorded.tape, Training(recorded)
    holder = {p.name: p.optimizer for p in tape.parameters}
    spent: dict[int, set[int]] = {}
    for update in tape.updates:
        spent.setdefault(update.after, set()).add(update.optimizer)
    looks: dict[str, list[tuple[float, float, float]]] = {}
    made, connected, gathered = 0, set[str](), Weights()
    while made < STEPS and training.at < min(len(tape.passes), 4 * STEPS):
        step = training.step().with_(seed=training.at)
        gradients = {n: g for n, g in step.reached().items() if g is not None}
        connected |= gradients.keys()
        gathered |= {n: g + gathered[n] if n in gathered else g for n, g in gradients.items()}
        looks |= {n: looks.get(n, []) for n in step.trained}
        before = {n: training.weights[n].detach().clone() for n in looks}
        training.advance(gradients)
        if training.at in spent:
            made += 1
            for name, found in looks.items():
                if holder[name] not in spent[training.at]:
                    continue  # a step of other weights, which may leave these as they are
                now = training.weights[name].detach()
                found.append(_look(recorded.start[name], before[name], now, gathered.get(name)))
            gathered = Weights()
    if made < FEWEST or not looks:
        raise NotApplicable(f"fewer than {FEWEST} steps were recorded")
    return Reach(tuple(_reached(tape, n, found, n in connected) for n, found in looks.items() if found), made)


def _look(first: Tensor, before: Tensor, after: Tensor, gradient: Tensor | None) -> tuple[float, float, float]:
    """Size of the gradient, of the step over the first weight's, and the share of asked numbers that stay."""
    if gradient is None:
        return 0.0, 0.0, 0.0
    asked = gradient != 0
    lost = float(((before == after) & asked).sum()) / max(1, int(asked.sum()))
    size = float(first.double().norm())
    step = float((after.double() - before.double()).norm()) / size if size > 0 else 0.0
    return float(gradient.double().square().mean().sqrt()), step, lost


def _reached(tape: Tape, name: str, looks: list[tuple[float, float, float]], connected: bool) -> Reached:
    gradients, steps, lost = zip(*looks, strict=True)
    first, last = tape.tensors[f"w:{name}"], tape.tensors.get(f"f:{name}")
    moved = last is not None and not torch.equal(first, last)
    call = next((c for p in tape.programs for c in p.users(Weight(name))), None)
    return Reached(
        name, max(gradients), connected, median(steps), median(lost), moved, _travelled(first, last), first.dim() > 1,
        call.site if call is not None else None,
    )  # fmt: skip


def _travelled(first: Tensor, last: Tensor | None) -> float:
    size = float(first.double().norm())
    return math.nan if last is None or not size else float((last.double() - first.double()).norm()) / size


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 12)
y = x[:, :3].argmax(1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(12, 32), nn.Linear(32, 32), nn.Linear(32, 3)

    def forward(self, x):
        h = torch.relu(self.first(x))
        return self.last(h + {branch})


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(8):
    for rows in torch.randperm(400).split(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(branch="0.0 * torch.relu(self.second(h))")
QUIET = _SCRIPT.format(branch="torch.relu(self.second(h))")
