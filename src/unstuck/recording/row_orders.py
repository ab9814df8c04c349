"""Tensors whose rows a step puts into a random order of its own, and what else that order is used for.

What enters a program was made outside it, and the tracer keeps no call of that. Of `torch.randperm` it is told: while
a permutation is alive that was drawn since the last backward, each call is looked at for it. One that puts the rows of
the targets into another order, and is read by nothing else at all, cannot have moved the inputs along with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unstuck.recording.tracer import tensors
from unstuck.tape import ops
from unstuck.tape.model import RowOrder
from unstuck.tape.site import Site


@dataclass
class Drawn:
    """A permutation, and what it was used for."""

    order: Tensor
    moved: list[Tensor | None] = field(default_factory=list)
    """The tensors whose rows it has put into its order; None for each other use."""


class Moved(NamedTuple):
    """A tensor in another order of its rows, or one that was made of it row by row."""

    tensor: Tensor
    drawn: Drawn
    site: Site | None
    mixed: bool = False
    """Rows in that order were joined with others."""

    @property
    def alone(self) -> bool:
        """Whether the order was used for nothing else."""
        return len(self.drawn.moved) == 1 and self.drawn.moved[0] is not None


class RowOrders:
    """`sites(depth)`: the person's frames."""

    def __init__(self, sites: Callable[[int], tuple[Site, ...]]) -> None:
        self._sites = sites
        self._moved: dict[int, Moved] = {}
        self._found: dict[tuple[int, int], RowOrder] = {}
        self.drawn: dict[int, Drawn] = {}
        self.marks = {torch.randperm: self._draws}

    def clear(self) -> None:
        """A backward has come."""
        self.drawn, self._moved = {}, {}

    def kept(self) -> tuple[RowOrder, ...]:
        """What was found, by program and slot."""
        return tuple(self._found.values())

    def _draws(self, func: Any, args: Any, kwargs: Any) -> Any:
        order = func(*args, **kwargs)
        if len(order) > 1:
            self.drawn[id(order)] = Drawn(order)
        return order

    def before(self, func: Any, args: Any, kwargs: Any) -> None:
        """A call is about to be made: does it use a permutation?"""
        for tensor in tensors((args, kwargs)):
            drawn = self.drawn.get(id(tensor))
            if drawn is not None and not _copies(func):
                drawn.moved.append(_indexed(func, args, tensor))

    def after(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        """A call was made that depends on no weight: follow what it made of a permutation, or of rows in its order."""
        if not isinstance(out, Tensor) or not out.dim():
            return
        given = list(tensors((args, kwargs)))
        drawn = next((d for t in given if (d := self.drawn.get(id(t))) is not None), None)
        rows = next((m for t in given if (m := self._moved.get(id(t))) is not None), None)
        if rows is not None and len(out) == len(rows.tensor):
            self._moved[id(out)] = rows._replace(tensor=out, mixed=rows.mixed or len(given) > 1)
        elif drawn is not None and _copies(func):
            self.drawn[id(out)] = Drawn(out, drawn.moved)
        elif drawn is not None and _indexed(func, args, given[-1]) is not None:
            self._moved[id(out)] = Moved(out, drawn, next(iter(self._sites(1)), None))

    def look(self, program: int, outside: Sequence[Tensor]) -> None:
        """A step of a program is recorded: which of what enters it has an order that nothing else has?"""
        entering = {slot: m for slot, t in enumerate(outside) if (m := self._moved.get(id(t))) is not None and m.alone}
        for slot, moved in entering.items():
            others = [m for m in entering.values() if m.mixed and m.drawn is not moved.drawn]
            if moved.mixed and others:
                self._note(program, slot, moved.site, others[0].site)
            elif not moved.mixed and self._alone(moved, outside):
                self._note(program, slot, moved.site)

    def _note(self, program: int, slot: int, site: Site | None, other: Site | None = None) -> None:
        known = self._found.get((program, slot))
        self._found[program, slot] = RowOrder(program, slot, site, 1 + (known.passes if known else 0), other)

    def _alone(self, moved: Moved, outside: Sequence[Tensor]) -> bool:
        """Whether the tensor enters the step in no other order as well."""
        tensor, order = moved.tensor, moved.drawn.order.to(moved.tensor.device)
        alike = (t for t in outside if t is not tensor and t.shape == tensor.shape and t.device == tensor.device)
        return not any(torch.equal(t[order].to(tensor.dtype), tensor) for t in alike)


def _copies(func: Any) -> bool:
    """Whether a call gives the same numbers on another device, or of another type."""
    op = ops.of(getattr(func, "__name__", ""))
    return op.kind == "shape" and op.hands_on == "all" and op.elementwise and op.cuts != "detached"


def _indexed(func: Any, args: Any, order: Tensor) -> Tensor | None:
    """The tensor all of whose rows a call picks in an order; None where it does something else."""
    name, first = getattr(func, "__name__", ""), args[0] if args else None
    at = {"__getitem__": 1, "index_select": 2}.get(name, len(args))
    if not isinstance(first, Tensor) or first is order or at >= len(args) or args[at] is not order:
        return None
    along = 0 if at == 1 else args[1]
    return first if along == 0 and first.dim() and len(first) == len(order) else None
