"""Whether pictures and the targets of their pixels are mirrored or turned together.

## What it asks

Where the target has a value for each pixel (a mask, a depth map): does each row's target lie as its picture lies, or do
the targets of some rows fit their pictures better when they are mirrored or turned?

## How

The trained network's answers are laid over the targets as they are, mirrored along each axis, and turned by half a
circle (of squares also by quarters). A row fits better in another position where the correlation of its answer with its
target is higher there by GAIN, and its answer fits that target better by GAIN than the answers for other rows do.

## What it costs

One forward for each of up to BATCHES recorded batches.

## What is healthy

Every row fits best as it is. Where some rows fit best as they are and others only mirrored, the picture and its target
go through random transformations that are drawn apart. Nothing is said of a network that has learnt nothing yet.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.answers import last_weights
from unstuck.micro.step import Recorded, Step
from unstuck.signals.source import Source
from unstuck.signals.task import Task, main_program
from unstuck.tape.model import Tape
from unstuck.tape.site import Site

COST = 6
BATCHES = 8
GAIN = 0.15
"""Correlation by which another position must fit better: between answers for one row and another row's target it is
near 0 where the targets differ."""
FEWEST, SHARE = 8, 0.1
"""Rows that fit better in another position, and their share, from which on it is told."""
SIDE = 4
"""Pixels along each axis, at least."""
POSITIONS = {
    "mirrored left to right": lambda t: t.flip(-1),
    "mirrored top to bottom": lambda t: t.flip(-2),
    "turned by half a circle": lambda t: t.flip(-1, -2),
}
OF_SQUARES = {
    "turned by a quarter": lambda t: t.rot90(1, (-2, -1)),
    "turned back by a quarter": lambda t: t.rot90(-1, (-2, -1)),
    "with rows and columns exchanged": lambda t: t.transpose(-1, -2),
}
TURNING = {"flip", "fliplr", "flipud", "hflip", "vflip", "rot90", "rotate"}
"""Where it is written; whether it happens is told by the rows."""


@dataclass(frozen=True)
class Mirrored:
    """How many of the rows fit best in each position."""

    rows: int
    fits: int
    """Rows that fit best as they are, by GAIN."""
    others: dict[str, int]
    """Rows that fit better in another position, by the position."""
    site: Site | None = None

    @property
    def apart(self) -> int:
        """Rows that do not lie as their pictures lie."""
        return sum(self.others.values())

    @property
    def why(self) -> str:
        """The rows that fit as they are and otherwise."""
        if not self.apart:
            return "no target fits its picture better when it is mirrored or turned"
        most = max(self.others, key=lambda k: self.others[k])
        return (
            f"the targets of {self.apart} of {self.rows} rows do not lie as their pictures lie: {self.others[most]} "
            f"fit better {most}, {self.fits} as they are"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """Rows by position."""
        return {
            "rows": float(self.rows),
            "as they are": float(self.fits),
            **{k: float(v) for k, v in self.others.items()},
        }

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That pictures and targets are transformed apart."""
        if self.apart < max(FEWEST, SHARE * self.rows):
            return ()
        said = f"{self.why}; a random transformation must be drawn once for a picture and its target"
        return (Statement(said, self.site, "mirrored", self.numbers, "label-misaligned"),)


def ask(recorded: Recorded) -> Mirrored:
    """Compare the positions. Raises NotApplicable where the target has no value for each pixel of the answer."""
    tape, number = recorded.tape, main_program(recorded.tape)
    task = Task.read(tape)
    if task.target is None or task.output is None:
        raise NotApplicable("the targets are not known")
    target = recorded.step(next(i for i, p in enumerate(tape.passes) if p.program == number)).outside[task.target]
    if target.dim() < 3 or min(target.shape[-2:]) < SIDE or len(target) < 2:
        raise NotApplicable("the target has no value for each pixel")
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    rows, fits, others = 0, 0, Counter[str]()
    for answer, wanted in _batches(recorded, task, number):
        best, as_is = _positions(answer, wanted)
        rows, fits = rows + len(wanted), fits + as_is
        others.update(best)
    if not rows:
        raise NotApplicable("the answer has other pixels than the target")
    return Mirrored(rows, fits, dict(others), _site(tape) or (task.loss.site if task.loss is not None else None))


def _batches(recorded: Recorded, task: Task, number: int) -> Iterator[tuple[Tensor, Tensor]]:
    at = [i for i, p in enumerate(recorded.tape.passes) if p.program == number][-BATCHES:]
    for i in at:
        step = recorded.step(i)
        if (end := last_weights(recorded, step)) is None:
            return
        found = _fields(task, step.with_(weights=end))
        if found is not None:
            yield found


def _fields(task: Task, step: Step) -> tuple[Tensor, Tensor] | None:
    """Answers and targets, both (rows, channels, height, width): a channel for each class where they are classes."""
    assert task.output is not None and task.target is not None
    out, target = step.values({task.output})[task.output].float(), step.outside[task.target]
    if task.kind == "classes" and not target.is_floating_point() and out.dim() == target.dim() + 1 == 4:
        counted = target.clamp(0, out.shape[1] - 1)
        return out.softmax(1), torch.nn.functional.one_hot(counted.long(), out.shape[1]).movedim(-1, 1).float()
    if out.numel() != target.numel() or out.shape[-2:] != target.shape[-2:]:
        return None
    shape = (len(target), -1, *target.shape[-2:])
    answer = out.sigmoid() if task.kind == "binary" else out
    return answer.reshape(shape), target.float().reshape(shape)


def _positions(answer: Tensor, wanted: Tensor) -> tuple[list[str], int]:
    """The positions in which rows fit better than as they are, and how many rows fit best as they are."""
    ways = {**POSITIONS, **(OF_SQUARES if wanted.shape[-1] == wanted.shape[-2] else {})}
    own = _correlation(answer, wanted)
    fit = torch.stack([_correlation(answer, way(wanted)) for way in ways.values()])
    best = fit.max(0)
    turned = torch.stack([list(ways.values())[k](wanted[i]) for i, k in enumerate(best.indices.tolist())])
    specific = best.values - _correlation(answer.roll(1, 0), turned)
    apart = (best.values - own > GAIN) & (specific > GAIN)
    as_is = (own - best.values > GAIN) & (own - _correlation(answer.roll(1, 0), wanted) > GAIN)
    names = list(ways)
    return [names[k] for k, yes in zip(best.indices.tolist(), apart.tolist(), strict=True) if yes], int(as_is.sum())


def _correlation(answer: Tensor, wanted: Tensor) -> Tensor:
    """Per row, over all of its channels' pixels about their means; 0 where one of them does not vary."""
    a, b = (t - t.mean((-2, -1), keepdim=True) for t in (answer, wanted))
    a, b = a.flatten(1), b.flatten(1)
    size = a.norm(dim=1) * b.norm(dim=1)
    return torch.where(size > 0, (a * b).sum(1) / size.clamp(min=1e-30), torch.zeros_like(size))


def _site(tape: Tape) -> Site | None:
    """The second of two calls that hand parts of a row to the same transformation; where there are none, the last line
    of the script that mirrors or turns something."""
    source = Source.read(tape)
    turning = [c for c in source.all(ast.Call) if isinstance(c.func, ast.Attribute) and c.func.attr in TURNING]
    calls = [*turning, *_again(source)]
    return source.site(calls[-1]) if calls else None


def _again(source: Source) -> Iterator[ast.Call]:
    """In functions that prepare a row or a batch, calls of the person's function with another name than before."""
    for function in (f for f in source.all(ast.FunctionDef) if f.name == "__getitem__" or "collate" in f.name):
        given: dict[str, str] = {}
        for call in source.page(function).all(ast.Call, function):
            match call:
                case ast.Call(func=func, args=[ast.Name(id=name)]) if not source.full_name(func):
                    callee = ast.unparse(func)
                    if not hasattr(builtins, callee) and given.setdefault(callee, name) != name:
                        yield call


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
masks = torch.zeros(320, 1, 12, 12)
for i, (a, b) in enumerate(torch.randint(0, 7, (320, 2)).tolist()):
    masks[i, :, a : a + 6, b : b + 4] = 1.0
pictures = masks + 0.3 * torch.randn(320, 1, 12, 12)
model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 1, 3, padding=1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(6):
    for rows in torch.randperm(320).split(32):
        x, y = pictures[rows].clone(), masks[rows].clone()
        turned = torch.rand(32) < 0.5
        x[turned] = x[turned].flip(-1)
        {again}
        y[turned] = y[turned].flip(-1)
        loss = nn.functional.binary_cross_entropy_with_logits(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(again="turned = torch.rand(32) < 0.5")
QUIET = _SCRIPT.format(again="pass")
