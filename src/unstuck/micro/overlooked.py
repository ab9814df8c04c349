"""Whether most of each row's input is overlooked: positions, columns or channels that cannot change the loss.

## What it asks

Are there places of the input, the same in every row, whose contents cannot change the loss, though they differ from
row to row? And which call leaves them out?

## How

The loss of the recorded batches is differentiated by what enters them and by every value of the step, at the first
weights and at those at the end of the run. Places along an axis of the input whose gradient is exactly 0 in all of
them are then exchanged between the rows of a batch: the loss must stay as it is. The last value that has as many
places, the same of them without a gradient, is read by the call that leaves them out.

## What it costs

Two forwards and backwards for each of BATCHES, and one forward.

## What is healthy

Every place takes part, or a few at the edge do not, or the run learns without the rest. Padding is the same in all
rows, and is not counted. The state of a recurrent network after the first step has seen one step of the sequence, and
so has the first position behind a causal mask: with either of them as the answer, the rest of the sequence is
overlooked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.answers import last_weights
from unstuck.micro.by_heart import fails
from unstuck.micro.different_batches import different_batches
from unstuck.micro.step import Recorded, Step
from unstuck.signals.task import Task
from unstuck.tape.interpreter import Values
from unstuck.tape.program import Call, Outside, Value

COST = 12
BATCHES, FEWEST = 4, 3
"""Batches that are looked at, and those without which nothing is said."""
PLACES, ROWS = 4, 4
"""Fewest places along an axis, and fewest rows."""
MOST = 0.5
"""Share of the places whose contents differ between rows that is overlooked, from which on it is told."""
SAME = 1e-6
"""Change of the loss, relative to it, that is rounding."""


@dataclass(frozen=True)
class Places:
    """Places along one axis of what enters the step that cannot change the loss."""

    slot: int
    axis: int
    dead: Tensor
    """(places,) bool."""


@dataclass(frozen=True)
class Overlooked:
    """What is overlooked, and the call that leaves it out."""

    shape: tuple[int, ...] = ()
    axis: int = 0
    left: int = 0
    call: Call | None = None

    @property
    def why(self) -> str:
        """How many places take part."""
        if self.call is None:
            return "no larger part of the rows' input is overlooked"
        places = self.shape[self.axis]
        return (
            f"nothing that the step computes depends on {self.left} of the {places} places along axis {self.axis} of "
            f"its input (shape {list(self.shape)}): {self.call.name}() reads only the other {places - self.left}"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """Places, and those that are overlooked."""
        return {} if self.call is None else {"places": float(self.shape[self.axis]), "overlooked": float(self.left)}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The call that leaves places out."""
        return () if self.call is None else (Statement(self.why, self.call.site, "overlooked", self.numbers),)


def ask(recorded: Recorded) -> Overlooked:
    """Look for places without a gradient. Raises NotApplicable for fewer than FEWEST different batches."""
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    if not fails(recorded.tape):
        raise NotApplicable("the run learns")
    met = different_batches(recorded, BATCHES)
    if len(met) < FEWEST:
        raise NotApplicable(f"fewer than {FEWEST} different batches of one shape were recorded")
    step, end = met[-1], last_weights(recorded, met[-1])
    trained = [step.with_(weights=end)] if end is not None else []
    flows = [_flows(one) for one in [*met, *trained]]
    for places in _dead(recorded, met, flows):
        call = _reader(step, places, flows) if _unread(step, places) else None
        if call is not None:
            return Overlooked(tuple(step.outside[places.slot].shape), places.axis, int(places.dead.sum()), call)
    return Overlooked()


def _flows(step: Step) -> dict[Value | Outside, Tensor]:
    """The gradient of the loss by every value, and by every float tensor that enters."""
    slots = [n for n, t in enumerate(step.outside) if t.is_floating_point()]
    entering = step.backward(slots).entering
    made: Values = step.flows()
    return {**{Value(n): g for n, g in made.items()}, **{Outside(n): g for n, g in entering.items()}}


def _dead(recorded: Recorded, met: list[Step], flows: list[dict[Value | Outside, Tensor]]) -> Iterator[Places]:
    """Along each axis of each input the places that get no gradient, if there are many of them."""
    step, task = met[-1], Task.read(recorded.tape)
    targets = task.slots if task.target is not None else ()
    for slot, tensor in enumerate(step.outside):
        if slot in targets or tensor.dim() < 2 or len(tensor) < ROWS:
            continue
        for axis in range(1, tensor.dim()):
            dead = _without(_differentiable(step, slot), axis, flows)
            if dead is None or len(dead) < PLACES:
                continue
            varying = _varying(tensor, axis)
            if MOST * int(varying.sum()) < int((dead & varying).sum()) < int(varying.sum()):
                yield Places(slot, axis, dead)


def _differentiable(step: Step, slot: int) -> Value | Outside:
    """What holds the gradient by a slot: for ids, what a table gives for each of them."""
    tensor, ref = step.outside[slot], Outside(slot)
    if tensor.is_floating_point():
        return ref
    readers = [c for c in step.program.calls if ref in c.refs() and c.shape[: tensor.dim()] == tuple(tensor.shape)]
    return Value(readers[0].outs[0]) if readers else ref


def _without(ref: Value | Outside, axis: int, flows: list[dict[Value | Outside, Tensor]]) -> Tensor | None:
    """(places along the axis,) whether all gradients there are 0; None where there are none."""
    found: Tensor | None = None
    for one in flows:
        if ref not in one or one[ref].dim() <= axis or one[ref].is_sparse:
            return None
        zero = (one[ref] == 0).movedim(axis, 0).flatten(1).all(1)
        found = zero if found is None else found & zero if len(found) == len(zero) else None
        if found is None:
            return None
    return found


def _varying(tensor: Tensor, axis: int) -> Tensor:
    """(places,) whether what stands there differs between the rows."""
    along = tensor.movedim(axis, 0).flatten(2) if tensor.dim() > 2 else tensor.movedim(axis, 0)
    return (along != along[:, :1]).flatten(1).any(1)


def _unread(step: Step, places: Places) -> bool:
    """Whether the loss stays when what stands in the places is exchanged between the rows."""
    tensor = step.outside[places.slot].clone()
    place = tensor.movedim(places.axis, 0)
    place[places.dead] = place[places.dead].roll(1, 1)
    before, after = step.loss(), step.given(places.slot, tensor).loss()
    return abs(after - before) <= SAME * max(abs(before), SAME)


def _reader(step: Step, places: Places, flows: list[dict[Value | Outside, Tensor]]) -> Call | None:
    """The call that reads the last value with the same places left out; else the last that selects from one with
    many; else the first that reads the input."""
    calls = step.program.calls
    made = [(out, [_without(Value(out), n, flows) for n in range(len(c.shape))]) for c in calls for out in c.outs]
    read = [(next((c for c in calls if Value(out) in c.refs()), None), found) for out, found in reversed(made)]
    same = (c for c, found in read if any(d is not None and torch.equal(d, places.dead) for d in found))
    many = (c for c, found in read if c is not None and c.op.kind == "choice" and any(map(_many, found)))
    return next(same, None) or next(many, None) or next((c for c in calls if Outside(places.slot) in c.refs()), None)


def _many(dead: Tensor | None) -> bool:
    return dead is not None and MOST * len(dead) < int(dead.sum()) < len(dead)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(600, 12, 3)
y = (x[:, :, 0].sum(1) > 0).long()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(3, 24, batch_first=True), nn.Linear(24, 2)

    def forward(self, x):
        states, _ = self.rnn(x)
        return self.head(states[:, {place}])


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(6):
    for rows in torch.randperm(600).split(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(place=0)
QUIET = _SCRIPT.format(place=-1)
