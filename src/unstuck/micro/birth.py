"""The call at which the first NaN or infinity is born.

## What it asks

The loss or the weights became NaN or infinite: which call made the first one, in which step, and from what?

## How

The recorded training is run again from its first weights, one plain step after the other, up to the first step whose
loss or gradient is not finite. If the loss is not, the first value is looked for that is NaN although nothing it is
made of is; an infinity that a NaN comes from is followed to the call that made it. If the loss is finite and the
gradient is not, the backward pass is gone through call by call, each with the gradient that it was given: the first one
whose own gradient is NaN or infinite is named, with the value of its input there (the slope of a square root at 0 is
infinite, and infinity times the zero of a mask is NaN).

## What it costs

The steps up to the first NaN, and two more. Where every loss and every weight is finite, nothing is run.

## What is healthy

Every loss, gradient and weight is finite. Minus infinity in a mask, in front of a softmax, is no matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec
import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.singular import Singular, singular
from unstuck.micro.step import REFUSED, Recorded, Step
from unstuck.micro.training import Training, finite
from unstuck.tape.interpreter import CannotReplay, Way, run, walk
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Outside, Program, Value, Weight, mapped

COST = 3
FAULT = "nonfinite-gradient"
GROWN = 100.0
"""Times the first losses: a loss this large before the first NaN says that the run diverged before."""
EARLY = 5
"""Losses that are the first ones."""
Place = Literal["forward", "backward", "entering", "update"]


@dataclass(frozen=True)
class Birth:
    """Where the first NaN or infinity of a run is born."""

    at: int
    """The pass, counted from 0."""
    place: Place
    call: Call | None
    what: Singular
    sound: bool
    """The losses before it are of the size of the first ones: nothing had grown."""
    nan: bool = True
    """NaN, or infinity."""
    whole: bool = False
    """What the call is given holds whole numbers only, as counts do."""
    lowest: float = 0.0
    """The smallest number in it."""

    @property
    def number(self) -> str:
        """What is born."""
        return "NaN" if self.nan else "infinity"

    @property
    def why(self) -> str:
        """Where it is born and from what."""
        if self.call is None:
            return f"the first {self.number} {self._elsewhere()} in step {self.at + 1}"
        subject = f"the gradient of {self.call.name}()" if self.place == "backward" else f"made by {self.call.name}()"
        because = self.what.said(self.call.name)
        return f"the first {self.number} is {subject} in step {self.at + 1}" + (f": {because}" if because else "")

    def _elsewhere(self) -> str:
        return "enters with the batch" if self.place == "entering" else "is made by the optimizer's update"

    @property
    def numbers(self) -> dict[str, float]:
        """The step, and how many entries."""
        return {"step": self.at + 1, "entries": self.what.entries, "of": self.what.of, "input": self.what.value}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Where it is born, wherever a call of the person's makes it."""
        site = self.call.site if self.call is not None else None
        return (Statement(self.why, site, "birth", self.numbers, FAULT),) if self.place != "entering" else ()


def ask(recorded: Recorded) -> Birth:
    """Find the birth. Raises NotApplicable where all is finite, or where the run cannot be brought to it again."""
    last = broken(recorded.tape)
    if last is None:
        raise NotApplicable("every loss and weight is finite")
    training, losses = Training(recorded), list[float]()
    for at in range(last + 1):
        step = training.step().with_(seed=at)
        if (slot := _entering(step)) is not None:
            return Birth(at, "entering", None, Singular("unknown", slot), True)
        made = step.backward()
        sound = _sound(losses)
        if not torch.isfinite(made.loss):
            return _forward(step, at, sound)
        if not finite(made.gradients.values()):
            return _backward(step, at, sound)
        losses.append(float(made.loss))
        training.advance(made.gradients)
        if not finite(training.weights.values()):
            return Birth(at, "update", None, Singular("unknown"), sound)
    raise NotApplicable("the recorded steps, run again, stay finite")


def broken(tape: Tape) -> int | None:
    """The pass up to which the first NaN or infinity is born: that of the first such loss, else the last; None where
    all losses and weights are finite."""
    first = next((i for i, p in enumerate(tape.passes) if not math.isfinite(p.loss)), None)
    if first is not None:
        return first
    weights = (tape.tensors.get(f"f:{p.name}") for p in tape.parameters if p.trainable)
    later = all(map(math.isfinite, tape.losses)) and finite(w for w in weights if w is not None)
    return None if later or not tape.passes else len(tape.passes) - 1


def _sound(losses: list[float]) -> bool:
    first = max((abs(x) for x in losses[:EARLY]), default=math.inf)
    return not losses or max(map(abs, losses)) <= GROWN * max(first, 1e-12)


def _entering(step: Step) -> int | None:
    """The slot whose tensor holds NaN; infinity may be a mask."""
    bad = (i for i, t in enumerate(step.outside) if t.is_floating_point() and bool(t.isnan().any()))
    return next(bad, None)


# -- forward ----------------------------------------------------------------------------------------------------------


def _forward(step: Step, at: int, sound: bool) -> Birth:
    program, marks = step.program, dict[int, tuple[bool, bool]]()
    with torch.no_grad(), step.drawing():
        for call, values in walk(program, step.weights, step.outside, {}, Way(step.device)):
            marks.update({out: _marked(values[out]) for out in call.outs if out in values})
    nan = next((c for c in program.calls if any(marks.get(o, _NONE)[0] for o in c.outs)), None)
    born = nan if nan is not None else program.maker(Value(program.loss))
    if born is None:
        raise NotApplicable("the loss is NaN or infinite without a call that makes it")
    return _described(step, _infinite(program, born, marks), at, sound, "forward", nan is not None)


_NONE = (False, False)


def _marked(tensor: Tensor) -> tuple[bool, bool]:
    """Whether it holds NaN, and infinity."""
    if not tensor.is_floating_point():
        return _NONE
    return bool(tensor.isnan().any()), bool(tensor.isinf().any())


def _infinite(program: Program, born: Call, marks: dict[int, tuple[bool, bool]]) -> Call:
    """The call that made the infinity which a call turned into NaN or handed on; itself where a mask is the reason."""
    call = born
    while True:
        sources = [r for r in call.refs() if isinstance(r, Value) and marks.get(r.id, _NONE)[1]]
        maker = program.maker(sources[0]) if sources else None
        if maker is None or _fills(maker):
            return born if maker is not None else call
        call = maker


def _fills(call: Call) -> bool:
    """Whether it brings the infinity in by a number of the person's own: a mask."""
    return any(isinstance(a, float) and math.isinf(a) for a in (*call.args, *call.kwargs.values()))


# -- backward ---------------------------------------------------------------------------------------------------------


def _backward(step: Step, at: int, sound: bool) -> Birth:
    values, gradients = _all_gradients(step)
    read = _reader(step, values)
    for call in reversed(step.program.calls):
        above = [gradients.get(Value(out)) for out in call.outs]
        known = [g for g in above if g is not None]
        if not known or not finite(known):
            continue
        below = [gradients.get(r) for r in call.refs()]
        if finite(g for g in below if g is not None):
            continue
        bad = _own_gradient(step, call, read, above)
        if any(b is not None and bool(b.any()) for b in bad):
            nan = any(g is not None and bool(g.isnan().any()) for g in below)
            return _described(step, call, at, sound, "backward", nan, bad)
    raise NotApplicable("the gradient is NaN or infinite, and no single call makes it so")


def _all_gradients(step: Step) -> tuple[dict[int, Tensor], dict]:
    """Every value, and the loss's gradient with respect to every value, weight and slot that has one."""
    leaves = {n: w.detach().requires_grad_(w.is_floating_point()) for n, w in step.weights.items()}
    outside = tuple(t.detach().requires_grad_(t.is_floating_point()) for t in step.outside)
    with torch.enable_grad(), step.drawing():
        values = run(step.program, leaves, outside, {}, Way(step.device))
        refs = {Value(n): v for n, v in values.items()} | {Weight(n): w for n, w in leaves.items()}
        refs |= {Outside(i): t for i, t in enumerate(outside)}
        asked = {r: t for r, t in refs.items() if t.requires_grad}
        made = torch.autograd.grad(values[step.program.loss].sum(), list(asked.values()), allow_unused=True)
    return values, dict(zip(asked, made, strict=True))


def _reader(step: Step, values: dict[int, Tensor]):
    def read(ref: object) -> Tensor:
        match ref:
            case Value(id=number):
                return values[number]
            case Weight(name=name):
                return step.weights[name]
            case Outside(slot=slot):
                return step.outside[slot]
        raise CannotReplay("a call reads what is not there")

    return read


def _own_gradient(step: Step, call: Call, read, above: list[Tensor | None]) -> list[Tensor | None]:
    """Per tensor that a call is given: where the gradient that it alone hands down is NaN or infinite."""
    refs = list(dict.fromkeys(call.refs()))
    places = {r: Outside(i) for i, r in enumerate(refs)}
    turned = mapped((call.args, call.kwargs), lambda leaf: places.get(leaf, leaf) if _is_ref(leaf) else leaf)
    alone = msgspec.structs.replace(call, args=turned[0], kwargs=turned[1])
    given = [read(r).detach() for r in refs]
    given = [t.requires_grad_() if t.is_floating_point() else t for t in given]
    try:
        with torch.enable_grad(), step.drawing():
            out = run(Program((alone,), call.outs[0], len(given)), {}, tuple(given), {}, Way(step.device))
            pairs = [(out[o], g) for o, g in zip(call.outs, above, strict=True) if g is not None and o in out]
            pairs = [(o, g) for o, g in pairs if o.requires_grad]
            asked = [t for t in given if t.requires_grad]
            made = torch.autograd.grad([o for o, _ in pairs], asked, [g for _, g in pairs], allow_unused=True)
    except REFUSED:
        return [None] * len(refs)
    found = iter(made)
    grads = [next(found) if t.requires_grad else None for t in given]
    return [None if g is None else ~torch.isfinite(g) for g in grads]


def _is_ref(leaf: object) -> bool:
    return isinstance(leaf, Value | Weight | Outside)


# -- what it is given -------------------------------------------------------------------------------------------------


def _described(
    step: Step, call: Call, at: int, sound: bool, place: Place, nan: bool, bad: list[Tensor | None] | None = None
) -> Birth:
    given = list(_given(step, call))
    what = singular(call, given, bad or [None] * len(given), place == "forward")
    tensor = given[what.argument] if what.argument < len(given) else torch.zeros(1)
    known = tensor[torch.isfinite(tensor)] if tensor.is_floating_point() else tensor
    whole = bool((known == known.round()).all()) if known.is_floating_point() else True
    lowest = float(known.min()) if known.numel() else 0.0
    return Birth(at, place, call, what, sound, nan, whole, lowest)


def _given(step: Step, call: Call) -> Iterator[Tensor]:
    """The tensors that a call of the step is given, each once, in order."""
    with torch.no_grad(), step.drawing():
        for done, values in walk(step.program, step.weights, step.outside, {}, Way(step.device)):
            if done is call:
                read = _reader(step, values)
                yield from [read(ref).detach() for ref in dict.fromkeys(call.refs())]
                return


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 8)
y = torch.randint(0, 4, (400,))
centres = torch.randn(4, 8)
x = x + 2 * centres[y]


def distances(e):
    apart = ((e[:, None] - e[None, :]) ** 2).sum(-1)
    return torch.sqrt({inside})


model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8))
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for epoch in range(6):
    for rows in torch.randperm(400).split(40):
        d = distances(model(x[rows]))
        same = (y[rows][:, None] == y[rows][None, :]).float()
        nearest = (d + 1e3 * same).min(1)[0]
        farthest = (d * same).max(1)[0]
        loss = torch.relu(farthest - nearest + 0.5).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(inside="apart")
QUIET = _SCRIPT.format(inside="apart + 1e-6")
