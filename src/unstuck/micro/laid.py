"""Whether the targets of places lie where the pictures have them.

## What it asks

Where the target has a value for each pixel or each cell of a grid: does it go with what the picture shows in that
place, or with what the picture shows in the place that is mirrored, turned, or has row and column exchanged?

## How

What the picture shows in each cell (mean, spread, smallest and largest number of each channel) is taken as a row, and a
straight line through the rows of some pictures is asked about the others: for the targets as they are, mirrored along
each axis, turned, and with their axes exchanged. The network takes no part in it.

## What it costs

Seven small linear fits.

## What is healthy

The targets go best with their own places, or with none by a straight line; or mirroring is the task, and the run learns
it. Where another position fits better, every
target is written in another order of its axes than the picture has: `grid[x, y]` for `grid[y, x]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.by_heart import fails
from unstuck.micro.mirrored import OF_SQUARES, POSITIONS, SIDE
from unstuck.micro.step import Recorded
from unstuck.signals.task import Task, main_program
from unstuck.tape.model import Tape
from unstuck.tape.site import Site

COST = 2
PICTURES = 512
"""At most."""
FEWEST = 32
CELLS = 60_000
CLASSES = 12
SHOWN, GAIN = 0.1, 0.1
"""Share of the targets' variance that a line explains in the other position, at least, and by how much that is more
than as they are: the other half of that is left where nothing but the middle of the picture counts."""
HALF = 0.5
RIDGE = 1e-3


@dataclass(frozen=True)
class Laid:
    """The share of the targets' variance that is explained, by position."""

    own: float
    others: dict[str, float]
    pictures: int
    site: Site | None = None

    @property
    def best(self) -> str:
        """The other position that fits best."""
        return max(self.others, key=lambda k: self.others[k])

    @property
    def elsewhere(self) -> bool:
        """Whether another position fits beyond doubt, and their own does not."""
        most = self.others[self.best]
        return most >= SHOWN and most - self.own >= GAIN and self.own <= HALF * most

    @property
    def why(self) -> str:
        """Both shares."""
        if not self.elsewhere:
            return (
                f"what the pictures show in a place explains {self.own:.2f} of the targets there, and no more elsewhere"
            )
        return (
            f"the targets lie elsewhere than their pictures: what these show in a place explains {self.own:.2f} of the "
            f"targets there, and {self.others[self.best]:.2f} of the targets {self.best} ({self.pictures} pictures)"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """The shares."""
        return {"as they are": self.own, **self.others}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That the targets lie elsewhere."""
        if not self.elsewhere:
            return ()
        said = f"{self.why}; are x and y, or rows and columns, taken for each other?"
        return (Statement(said, self.site, "laid", self.numbers, "target-construction"),)


def ask(recorded: Recorded) -> Laid:
    """Compare the positions. Raises NotApplicable where no picture enters with a target for each of its places."""
    tape, number = recorded.tape, main_program(recorded.tape)
    task = Task.read(tape)
    if task.target is None:
        raise NotApplicable("the targets are not known")
    if not fails(tape):
        raise NotApplicable("the run learns what it is asked for")
    batches = list(dict.fromkeys(p.outside for p in tape.passes if p.program == number))
    first = [tape.tensors[key] for key in batches[0]]
    slot = next((s for s, t in enumerate(first) if s not in task.slots and _belongs(t, first[task.target])), None)
    if slot is None:
        raise NotApplicable("no picture enters whose places have targets")
    pictures, targets = _different(tape, batches, slot, task.target)
    if len(pictures) < FEWEST:
        raise NotApplicable(f"fewer than {FEWEST} pictures were recorded")
    shown, wanted = _shown(pictures, targets.shape[-2:]), _wanted(targets)
    square = wanted.shape[-1] == wanted.shape[-2]
    others = {
        name: _explained(shown, way(wanted)) for name, way in {**POSITIONS, **(OF_SQUARES if square else {})}.items()
    }
    return Laid(_explained(shown, wanted), others, len(pictures), _site(tape, number, task))


def _belongs(picture: Tensor, target: Tensor) -> bool:
    """Whether a tensor holds pictures whose cells the target has values for."""
    shaped = (
        picture.dim() == 4 and picture.is_floating_point() and target.dim() in (3, 4) and len(picture) == len(target)
    )
    if not shaped or min(target.shape[-2:]) < SIDE:
        return False
    return all(p % t == 0 for p, t in zip(picture.shape[-2:], target.shape[-2:], strict=True))


def _different(tape: Tape, batches: list[tuple[str, ...]], slot: int, target: int) -> tuple[Tensor, Tensor]:
    """Different pictures and their targets, (N, C, H, W) and (N, [K,] h, w), of the first batches of one shape."""
    pairs = [(tape.tensors[keys[slot]], tape.tensors[keys[target]]) for keys in batches]
    shapes = pairs[0][0].shape[1:], pairs[0][1].shape[1:]
    alike = [(a, b) for a, b in pairs if (a.shape[1:], b.shape[1:]) == shapes and len(a) == len(b)]
    most = max(1, min(PICTURES, CELLS // max(1, shapes[1][-1] * shapes[1][-2])))
    enough = alike[: 1 + most // len(alike[0][0])]
    pictures, targets = torch.cat([a for a, _ in enough]), torch.cat([b for _, b in enough])
    kept: dict[bytes, int] = {}
    for at, picture in enumerate(pictures):
        kept.setdefault(picture.detach().cpu().contiguous().numpy().tobytes(), at)
    places = torch.tensor(list(kept.values()))[:most]
    return pictures[places].float(), targets[places]


def _shown(pictures: Tensor, cells: torch.Size) -> Tensor:
    """(N, features, h, w): what the pictures show in each cell."""
    high, wide = (p // c for p, c in zip(pictures.shape[-2:], cells, strict=True))
    parts = pictures.unfold(2, high, high).unfold(3, wide, wide).flatten(4)
    found = [parts.mean(-1), parts.amax(-1), parts.amin(-1)]
    return torch.cat([*found, parts.std(-1)] if parts.shape[-1] > 1 else found[:1], 1).double()


def _wanted(targets: Tensor) -> Tensor:
    """(N, K, h, w): a channel for each class where they are classes."""
    if targets.dim() == 4:
        return targets.double()
    if targets.is_floating_point():
        return targets.unsqueeze(1).double()
    known = targets[targets >= 0].flatten().long()
    if not len(known):
        raise NotApplicable("no target is a class")
    common = torch.bincount(known).argmax()
    classes = [c for c in targets.unique().tolist() if c >= 0 and c != int(common)][:CLASSES]
    return torch.stack([(targets == c).double() for c in classes or [int(common)]], 1)


def _explained(shown: Tensor, wanted: Tensor) -> float:
    """The share of the variance of every second picture's targets that a line through the others' explains."""
    rows = [t.movedim(1, -1).reshape(len(t), -1, t.shape[1]) for t in (shown, wanted)]
    (x, asked), (y, told) = ((t[::2].flatten(0, 1), t[1::2].flatten(0, 1)) for t in rows)
    middle, size = x.mean(0), x.std(0).clamp(min=1e-12)
    x, asked = (x - middle) / size, (asked - middle) / size
    centre = y.mean(0)
    penalty = RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
    line = torch.linalg.solve(x.T @ x + penalty, x.T @ (y - centre))
    error = (told - centre - asked @ line).square().sum()
    return float(1 - error / (told - centre).square().sum().clamp(min=1e-12))


def _site(tape: Tape, number: int, task: Task) -> Site | None:
    """Where the targets are written place by place; else the loss."""
    written = {one.slot: one.site for one in tape.facts.written if one.program == number}
    assert task.target is not None
    return written.get(task.target, task.loss.site if task.loss is not None else None)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
places = torch.randint(0, 6, (480, 2))
pictures = 0.3 * torch.randn(480, 1, 24, 24)
for i, (row, column) in enumerate(places.tolist()):
    pictures[i, 0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 1.5
model = nn.Sequential(nn.Conv2d(1, 16, 4, 4), nn.ReLU(), nn.Conv2d(16, 1, 3, padding=1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(6):
    for rows in torch.randperm(480).split(40):
        grid = torch.zeros(40, 6, 6)
        where = places[rows]
        grid[torch.arange(40), {place}] = 1.0
        loss = nn.functional.binary_cross_entropy_with_logits(model(pictures[rows]).squeeze(1), grid)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(place="where[:, 1], where[:, 0]")
QUIET = _SCRIPT.format(place="where[:, 0], where[:, 1]")
