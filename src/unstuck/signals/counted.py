"""Which elements of the target the loss counts: one answer for every baseline, score and label rule.

It is measured, not read from a mask's form: an element counts if the number that is differentiated depends on the loss
of that element. So masks that are multiplied in, indexed with, filled in or handed over as weights come out alike, in
whatever shape or order they stand. What the loss call leaves out by itself (`ignore_index`, classes and elements of
weight zero) stands in its arguments; NaN among the targets counts nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

import msgspec
import torch
from torch import Tensor

from unstuck.tape.interpreter import CannotReplay, run
from unstuck.tape.model import Tape
from unstuck.tape.ops import LOSSES
from unstuck.tape.program import Call, Outside, Program, Ref, Value, Weight, mapped

Read = Callable[[int], Tensor]
"""Reads a slot."""
DRAWS = 4
"""Draws at which dependence is measured, half of each sign: a bend (relu, abs) is flat on one side only."""
KEPT = 4_096
"""Answers that are kept: a replay asks for the same batches again and again."""
REFUSED = (CannotReplay, RuntimeError, IndexError, KeyError, TypeError, ValueError)
"""What torch raises where the calls behind the loss cannot be run alone: then every element is taken to count."""
CONJUNCTIONS = {"and", "rand", "iand", "logical_and", "bitwise_and"}
"""Of truth values these are products, and products can be differentiated."""
WEIGHTS = {"cross_entropy": 2, "nll_loss": 2, "binary_cross_entropy": 2, "binary_cross_entropy_with_logits": 2}
"""Losses with a weight for each class, or for each element, and its position."""
IGNORING = {"cross_entropy": 4, "nll_loss": 4}
"""Losses that leave out one class number, and its position."""
EVEN = 1e-3
"""Relative difference of two losses that are equal but for rounding."""
IGNORED = -100
"""Torch's default for it."""


@dataclass(frozen=True)
class Counting:
    """The calls behind the loss of each element, ready to be asked which elements of a batch's target they count."""

    loss: Call
    target: int
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    """Of the loss call's result and of the target, as recorded."""
    behind: Program | None
    """Reads the loss of each element in its last slot; None where the loss call gives one number."""
    weights: dict[str, Tensor] = field(repr=False)
    constants: tuple[Tensor, ...] = field(repr=False)
    """Stand for what else the network computes, in the slots before the last."""
    slots: tuple[int, ...]
    """Slots that are read beside the target's."""
    _known: dict[tuple[int, ...], tuple[tuple[Tensor, ...], Tensor | None]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def ignored(self) -> int:
        """The class number that the loss call leaves out."""
        given = self.loss.argument(IGNORING.get(self.loss.name, 99), "ignore_index", IGNORED)
        return given if isinstance(given, int) and not isinstance(given, bool) else IGNORED

    def of(self, read: Read) -> Tensor | None:
        """Truth values of the target's shape; None where every element counts."""
        held = tuple(read(slot) for slot in (self.target, *self.slots))
        key = tuple(map(id, held))
        if key not in self._known:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[key] = held, self._measured(held[0], read)  # held, so that its ids mean nothing else
        return self._known[key][1]

    def _measured(self, target: Tensor, read: Read) -> Tensor | None:
        try:
            parts = [p for p in (self._left_by_call(target, read), self._left_behind(target, read)) if p is not None]
        except REFUSED:
            return None
        whole = torch.stack(parts).all(0) if parts else None
        return whole if whole is not None and not bool(whole.all()) else None

    def _left_by_call(self, target: Tensor, read: Read) -> Tensor | None:
        """What the loss call counts by its arguments."""
        whole = self.loss.op.classes and not target.is_floating_point()
        known = target != self.ignored if whole and self.loss.name in IGNORING else torch.ones_like(target).bool()
        given = self._given(self.loss.argument(WEIGHTS.get(self.loss.name, 99), "weight"), read)
        if given is None:
            return known
        if whole:
            return known & (given != 0)[target.long().clamp(0, len(given) - 1)]
        return known & (given != 0).expand_as(target)

    def _given(self, ref: object, read: Read) -> Tensor | None:
        if isinstance(ref, Outside):
            return read(ref.slot)
        return self.weights.get(ref.name) if isinstance(ref, Weight) else None

    def _left_behind(self, target: Tensor, read: Read) -> Tensor | None:
        """What the calls behind the loss call depend on."""
        if self.behind is None:
            return None
        draw = torch.Generator().manual_seed(0)
        drawn = 0.5 + torch.rand((DRAWS, *self._shape(target)), generator=draw)
        found = [self._moved(part * (-1) ** n, read) for n, part in enumerate(drawn)]
        return _fitted(torch.stack(found).any(0), target)

    def _moved(self, losses: Tensor, read: Read) -> Tensor:
        """Which of these losses move the result."""
        assert self.behind is not None
        losses.requires_grad_()
        given = _Slots(read, (*self.constants, losses))
        out = run(self.behind, self.weights, given, {})[self.behind.loss]  # type: ignore[arg-type]
        (gradient,) = torch.autograd.grad(out.double().sum(), losses)
        return gradient != 0

    def even(self, read: Read) -> bool:
        """Whether a residual and its negative cost the same; true where that cannot be measured."""
        if self.behind is None:
            return True
        try:
            size = 0.5 + torch.rand(self._shape(read(self.target)), generator=torch.Generator().manual_seed(0))
            given = (_Slots(read, (*self.constants, part)) for part in (size, -size))
            one, other = (run(self.behind, self.weights, g, {})[self.behind.loss].double().sum() for g in given)  # type: ignore[arg-type]
        except REFUSED:
            return True
        return bool((one - other).abs() <= EVEN * torch.maximum(one.abs(), other.abs()))

    def _shape(self, target: Tensor) -> tuple[int, ...]:
        """Of the loss call's result on this target, whose batch may have another size than the recorded one."""
        result, first = self.shapes
        if tuple(target.shape) == first:
            return result
        if result == first:
            return tuple(target.shape)
        if len(result) == 1 and prod(first) == result[0]:
            return (target.numel(),)
        return (result[0] * len(target) // first[0], *result[1:])


@dataclass(frozen=True)
class _Slots:
    """A program's slots by number: its own, then those of the calls behind the loss, counted from the end."""

    read: Read
    added: tuple[Tensor, ...]

    def __getitem__(self, slot: int) -> Tensor:
        return self.added[slot] if slot < 0 else self.read(slot)


def counting(
    tape: Tape, program: Program, loss: Call | None, target: int | None, outside: tuple[Tensor, ...]
) -> Counting | None:
    """Of the call that meets the target in a program; `outside` is the batch it was recorded on."""
    if loss is None or target is None or not loss.outs:
        return None
    weights = {name: tape.tensors[f"w:{name}"] for name in program.weights() if f"w:{name}" in tape.tensors}
    alone = loss.shape == () and loss.name in LOSSES
    behind, constants = (None, ()) if alone else _behind(program, loss)
    read = {r.slot for c in (loss, *(behind.calls if behind else ())) for r in c.refs() if isinstance(r, Outside)}
    slots = tuple(sorted(s for s in read if s >= 0 and s != target and (behind or s == _weight_slot(loss))))
    return Counting(loss, target, (loss.shape, tuple(outside[target].shape)), behind, weights, constants, slots)


def _weight_slot(loss: Call) -> int:
    ref = loss.argument(WEIGHTS.get(loss.name, 99), "weight")
    return ref.slot if isinstance(ref, Outside) else -1


def _behind(program: Program, loss: Call) -> tuple[Program | None, tuple[Tensor, ...]]:
    """The calls that depend on a loss call, with further slots for its result and for values from elsewhere."""
    calls = tuple(program.after(loss))
    if not calls:
        return None, ()
    made = {out for c in calls for out in c.outs}
    strange = [r for r in dict.fromkeys(r for c in calls for r in c.refs()) if isinstance(r, Value)]
    strange = [r for r in strange if r.id not in made and r.id not in loss.outs]
    places: dict[Ref, Ref] = {Value(loss.outs[0]): Outside(-1)}
    places |= {r: Outside(-2 - n) for n, r in enumerate(strange)}
    last = program.loss if program.loss in made else calls[-1].outs[0]
    constants = tuple(_stand_in(program, r) for r in strange)
    return Program(tuple(_turned(c, places) for c in calls), last), constants[::-1]


def _turned(call: Call, places: dict[Ref, Ref]) -> Call:
    turn = lambda leaf: places.get(leaf, leaf) if isinstance(leaf, Value) else leaf
    function = "torch.Tensor.mul" if call.name in CONJUNCTIONS else call.function
    return msgspec.structs.replace(
        call, function=function, args=mapped(call.args, turn), kwargs=mapped(call.kwargs, turn), grad=True
    )


def _stand_in(program: Program, ref: Value) -> Tensor:
    """Positive numbers in the shape of what the network computes there."""
    maker = program.maker(ref)
    shape = maker.shape if maker is not None and maker.outs[0] == ref.id else ()
    return 0.5 + torch.rand(shape, generator=torch.Generator().manual_seed(1))


def _fitted(moved: Tensor, target: Tensor) -> Tensor | None:
    """Truth values per result of the loss call, in the shape of the target."""
    if moved.numel() == target.numel():
        return moved.reshape(target.shape)
    if moved.shape == (*target.shape[:1], *target.shape[2:]):  # one loss for a row of class columns
        return moved.unsqueeze(1).expand_as(target)
    if torch.broadcast_shapes(moved.shape, target.shape) == moved.shape:
        return moved.double().sum_to_size(target.shape) > 0
    return None
