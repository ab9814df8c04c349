"""The tracer: a torch function mode that keeps every torch call that depends on a weight.

What does not depend on a weight is data preparation and is not kept; neither is anything once the step is over.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._C._functorch import maybe_current_level  # type: ignore[import-not-found]  # nothing public tells
from torch.overrides import TorchFunctionMode

from unstuck.recording import mode_stack
from unstuck.recording.arrays import plain
from unstuck.recording.loss_scaling import LossScaling
from unstuck.recording.notes import Notes
from unstuck.recording.parameter_names import is_weight
from unstuck.recording.weight_writes import MARKING, SETTERS, WeightWrites, changes_first
from unstuck.tape.site import Site

if TYPE_CHECKING:
    from unstuck.recording.drawn import Drawn
    from unstuck.recording.lineage import Lineage
    from unstuck.recording.row_orders import RowOrders
    from unstuck.recording.unread import UnreadValues

Marks = dict[Any, Callable[..., Any]]
UNTAKEN = object()
"""What a mark returns that has only looked: the call goes on like any other."""
LONGEST = 40_000
"""Calls kept at most between two backwards; beyond that they are dropped and those that follow are kept."""
HELD = 128 * 2**20
"""Bytes of results kept at most between two backwards of calls made without gradients, which the script lets go of: an
evaluation of many batches, a text that is generated token by token."""
TRANSFORMS = "not recorded: calls inside transforms of torch.func (grad, vmap, jvp), and gradients taken by them"
LIKE = ("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "randint_like")
NEW = ("new_zeros", "new_ones", "new_full", "new_empty", "new_tensor")
SKIPPED = {
    torch.Tensor.grad.__get__,  # type: ignore[attr-defined]
    *(getattr(torch, name) for name in LIKE),
    *(getattr(torch.Tensor, name) for name in NEW),
}
"""A gradient is no value of the program, and what only takes a value's shape does not depend on it (noise is data)."""

ALIAS = "AliasBackward0"
"""What autograd calls the step from a tensor to another that is the same."""
SILENT = {torch.Tensor.data.__set__}  # type: ignore[attr-defined]


class Entry(NamedTuple):
    """One call as it happened. `out` is what it made, or the tensor it changed in place."""

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any
    results: tuple[Tensor, ...]
    """The tensors in `out`."""
    sites: tuple[Site, ...]
    grad: bool
    cast: str
    """The autocast dtype in force ("" where none)."""
    before: Tensor | None
    """A copy of the tensor that was changed in place, where no logged call had made it."""


def tensors(tree: Any) -> Iterator[Tensor]:
    """The tensors among nested arguments."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, tuple | list):
        for branch in tree:
            yield from tensors(branch)
    elif isinstance(tree, dict):
        for branch in tree.values():
            yield from tensors(branch)


class Tracer(TorchFunctionMode):
    """Keeps calls; calls in `marks` (backward, grad) are handed over instead. `sites`: the frames of the call."""

    def __init__(self, marks: Marks, sites: Callable[[], tuple[Site, ...]], notes: Notes) -> None:
        super().__init__()
        self.marks, self.sites, self.notes = marks, sites, notes
        self._failed = notes.failure("a torch call")
        self.entries: list[Entry] = []
        self.made: dict[int, Tensor] = {}
        self.writes = WeightWrites(sites)
        self.scaling = LossScaling()
        self.wrote: Callable[..., None] | None = None
        """Told of the weights that a call has written to, and of the call: function, arguments, named arguments."""
        self.spill: Callable[[], None] | None = None
        """Told that calls without gradients hold too much."""
        self.orders: RowOrders | None = None
        """Told of the calls that may use a random order of rows."""
        self.lineage: Lineage | None = None
        """Told of the calls that depend on no weight, until it has seen enough."""
        self.unread: UnreadValues | None = None
        """Told of every call, until it has seen enough."""
        self.drawn: Drawn | None = None
        """Told of every call, until it has seen enough."""
        self._held = 0
        self.quiet = False
        """Calls go by unseen."""
        self.wanted = self.aside = self._on = False
        """It is to see the calls; it has to keep off the stack of modes all the same; it is on the stack."""
        self._below = 0
        """How many modes lay above it when it was last taken off."""

    def watch(self, wanted: bool, aside: bool | None = None) -> None:
        """Go on or off the stack of modes, among the person's own modes to the place where it was."""
        self.wanted, self.aside = wanted, self.aside if aside is None else aside
        if self.aside and self.unread is not None:
            self.unread.blind()
        if self.wanted and not self.aside and not self._on:
            mode_stack.put(self, self._below)
            self._on = True
        elif self._on and not (self.wanted and not self.aside):
            below = mode_stack.place(self)
            if below is not None:  # else it is handling a call, and torch has taken it off itself
                mode_stack.take(self)
                self._below, self._on = below, False

    @property
    def reads_graphs(self) -> bool:
        """Whether it is to be given the calls of compiled graphs, since it is kept off the stack while those run."""
        return self.wanted and self.aside and not self._on and not self.quiet

    def drop(self, entries: list[Entry]) -> None:
        """Forget some of the calls."""
        gone = set(map(id, entries))
        self.entries = [e for e in self.entries if id(e) not in gone]

    def keep(self, entries: list[Entry]) -> None:
        """Forget all calls but these, and what they made."""
        self.entries, self._held = entries, 0
        self.made = {id(t): t for entry in entries for t in entry.results}

    def clear(self) -> None:
        """Forget the calls so far."""
        self.keep([])
        self.writes.clear()
        self.scaling.clear()
        if self.orders is not None:
            self.orders.clear()

    def close(self) -> None:
        """See nothing any more: the mode may be on the stack for good."""
        self.clear()
        self.marks, self.quiet = {}, True

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        orders = self.orders if self.orders is not None and self.orders.drawn and not self.quiet else None
        unread = self.unread if self.unread is not None and not self.unread.over and not self.quiet else None
        if orders is not None:
            self._guarded(orders.before, func, args, kwargs)
        if unread is not None:
            self._guarded(unread.before, func, args, kwargs)
        mark = self.marks.get(func) if func.__hash__ is not None else None
        if mark is not None and (done := mark(func, args, kwargs)) is not UNTAKEN:
            self._follow_draws(sys._getframe(1), func, args, kwargs, done, False)
            return done
        if self.quiet or not self.wanted or func in SKIPPED or not self._depends(args, kwargs):
            out = func(*args, **kwargs)
            if orders is not None and func not in SKIPPED:
                self._guarded(orders.after, func, args, kwargs, out)
            if unread is not None:
                self._guarded(unread.after, func, args, kwargs, out, False)
            self._follow_draws(sys._getframe(1), func, args, kwargs, out, False)
            if self.lineage is not None and not self.lineage.over and not self.quiet:
                self._guarded(self.lineage.after, func, args, kwargs, out)
            return out
        before = self._untouched(func, args)
        out = func(*args, **kwargs)
        if unread is not None:
            self._guarded(unread.after, func, args, kwargs, out, True)
        self._follow_draws(sys._getframe(1), func, args, kwargs, out, True)
        try:
            self.note(func, args, kwargs, out, before)
        except Exception as error:
            self._failed(error)
        return out

    def _follow_draws(self, *call: Any) -> None:
        if self.drawn is not None and not self.drawn.over and not self.quiet:
            self._guarded(self.drawn.after, *call)

    def _guarded(self, look: Callable[..., None], *call: Any) -> None:
        try:
            look(*call)
        except Exception as error:
            self._failed(error)

    def depends(self, tensor: Tensor) -> bool:
        """Whether a tensor is a weight, or was made of one."""
        return id(tensor) in self.made or tensor.requires_grad or isinstance(tensor, nn.Parameter)

    def add(self, entries: list[Entry]) -> None:
        """Keep calls that were made in a compiled graph."""
        self._make_room()
        self.entries += entries
        self.made.update((id(t), t) for entry in entries for t in entry.results)

    def _depends(self, args: Any, kwargs: Any) -> bool:
        # Written out rather than through tensors(): this runs for every torch call of the person's step.
        made = self.made
        for a in args:
            if isinstance(a, Tensor):
                if id(a) in made or a.requires_grad or type(a) is nn.Parameter:
                    return True
            elif isinstance(a, tuple | list) and any(
                id(t) in made or t.requires_grad or is_weight(t) for t in tensors(a)
            ):
                return True
        return bool(kwargs) and any(id(t) in made or t.requires_grad or is_weight(t) for t in tensors(kwargs))

    def _untouched(self, func: Any, args: Any) -> Tensor | None:
        """A copy of what an in-place call is about to change, unless a logged call made it."""
        if not (args and isinstance(args[0], Tensor) and changes_first(func)):
            return None
        first = args[0]
        return None if id(first) in self.made or is_weight(first) else first.detach().clone()

    def note(self, func: Any, args: Any, kwargs: Any, out: Any, before: Tensor | None) -> None:
        """Keep a call that was made; `before` as in `Entry`."""
        if maybe_current_level() is not None:
            self.notes.add(TRANSFORMS)
            return
        args, kwargs = plain(args), plain(kwargs)
        out = args[0] if func in SETTERS else out
        results = (out,) if isinstance(out, Tensor) else tuple(tensors(out))
        results = results or tuple(tensors(args[:1])) if changes_first(func) else results
        if not results or self._of_weights(func, args, kwargs, results):
            return
        self._make_room()
        self._adopt(args)
        cast = _cast(results[0].device.type)
        self.entries.append(
            Entry(func, tuple(args), kwargs, out, results, self.sites(), torch.is_grad_enabled(), cast, before)
        )
        self.made.update((id(t), t) for t in results)
        self.scaling.look(func, args, out, sys._getframe(2))
        self._hold(results)

    def _hold(self, results: tuple[Tensor, ...]) -> None:
        if torch.is_grad_enabled() or self.spill is None:
            return
        self._held += sum(t.numel() * t.element_size() for t in results)
        if self._held > HELD:
            self._held = 0
            self.spill()

    def _adopt(self, args: Any) -> None:
        """Keep the step from a tensor to the same one of another class (`as_subclass`), which torch tells no mode."""
        for tensor in tensors(args):
            if id(tensor) not in self.made and (source := self._recast(tensor)) is not None:
                entry = Entry(
                    torch.Tensor.view_as, (source, source), {}, tensor, (tensor,), self.sites(), True, "", None
                )
                self.entries.append(entry)
                self.made[id(tensor)] = tensor

    def _recast(self, tensor: Tensor) -> Tensor | None:
        """The tensor of which another is an alias; None where it is none, or of nothing that was made here."""
        node = tensor.grad_fn
        if node is None or node.name() != ALIAS:
            return None
        above = node.next_functions[0][0]
        if (leaf := getattr(above, "variable", None)) is not None:
            return leaf
        return next((made for made in reversed(self.made.values()) if made.grad_fn is above), None)

    def _of_weights(self, func: Any, args: Any, kwargs: Any, results: tuple[Tensor, ...]) -> bool:
        """Whether a call writes to weights or makes new ones: the script's business, not a step of the program."""
        weights, changes = [t for t in results if is_weight(t)], "out" in kwargs or changes_first(func)
        if not weights and not changes:
            return False
        written = [] if func in MARKING or not changes else weights or self.writes.behind(results)
        if written:
            self.write(written, func, args, kwargs)
        for weight in weights:
            self._perhaps_new(weight, args, kwargs)
        return bool(written or weights) or func in SILENT

    def write(self, weights: list[Tensor], func: Any = None, args: Any = (), kwargs: Any = None) -> None:
        """A call (of which nothing may be known) has written to weights."""
        self.writes.write(weights)
        if self.wrote is not None:
            self.wrote(weights, func, args, kwargs)

    def _make_room(self) -> None:
        if len(self.entries) >= LONGEST:
            self.clear()
            self.notes.add(f"not recorded: the first {LONGEST} torch calls of a stretch without a backward")

    def _perhaps_new(self, weight: Tensor, args: Any, kwargs: Any) -> None:
        """A value that has become a weight: the calls that made it are no part of the program that reads it."""
        if self.made.pop(id(weight), None) is not None:
            place = next(n for n in range(len(self.entries) - 1, -1, -1) if _made_by(self.entries[n], weight))
            entry = self.entries.pop(place)
            self.writes.made(weight, tuple(tensors((entry.args, entry.kwargs))))
        elif not any(t is weight for t in tensors((args, kwargs))):
            self.writes.made(weight, tuple(tensors((args, kwargs))))


def _made_by(entry: Entry, tensor: Tensor) -> bool:
    return any(t is tensor for t in entry.results)


def _cast(device: str) -> str:
    """The dtype that torch casts to on this type of device."""
    try:
        if not torch.is_autocast_enabled(device):
            return ""
        return str(torch.get_autocast_dtype(device)).removeprefix("torch.")
    except RuntimeError:  # a device for which there is no autocast (meta)
        return ""
