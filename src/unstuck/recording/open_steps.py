"""The optimizer steps under way: closures that they call, and steps of other optimizers inside them.

An optimizer that evaluates its closure once, at the weights that it was given, makes an ordinary step after that
backward (Lightning and skorch step every optimizer so). One that evaluates it more often, or moves the weights before
(LBFGS, sharpness-aware minimisation), does not. A step inside a step is the step itself where the outer optimizer only
hands on (a wrapper), and a part of it where the outer one moves the weights too.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from torch import Tensor

from unstuck.recording.versions import sample, versions
from unstuck.tape.model import Update


@dataclass(frozen=True)
class Stepped:
    """A finished step, and the steps inside it."""

    update: Update
    inner: tuple[Stepped, ...] = ()
    hands_on: bool = False
    """The steps inside it made every change of its weights."""


@dataclass
class OpenStep:
    """A step that has begun and not ended."""

    optimizer: Any
    frame: FrameType
    """Of torch's own wrapper of `step`, which is on the stack as long as the step is under way."""
    passes: int
    """Backwards before it began."""
    weights: list[Tensor]
    closure: bool
    norm: float | None = None
    """Of the gradients that it was given (sampled)."""
    empty: bool = False
    calls: int = 0
    """How often the closure was called."""
    moved: bool = False
    """The weights had changed when the closure was called."""
    inner: list[Stepped] = field(default_factory=list)
    """The finished steps inside it."""
    before: int = 0
    inside: int = 0
    """Counted writes to its weights by the steps inside it."""
    last: bytes = b""
    """A sample of the weights after the last step inside it."""

    def call(self) -> None:
        """The closure is called."""
        self.calls += 1
        self.moved = self.moved or versions(self.weights) != self.before or bool(self.inner)

    @property
    def several(self) -> bool:
        """It evaluates its closure more than once, or at other weights."""
        return self.closure and (self.calls > 1 or self.moved)

    def hands_on(self) -> bool:
        """Every change of its weights was made by the steps inside it."""
        if not self.inner or self.several:
            return False
        return versions(self.weights) - self.before == self.inside and sample(self.weights) == self.last


class OpenSteps:
    """A stack."""

    def __init__(self) -> None:
        self._stack: list[OpenStep] = []

    def begin(self, optimizer: Any, passes: int, closure: bool, depth: int = 5) -> OpenStep:
        """A step begins; `depth` is how many frames up torch's wrapper of `step` is."""
        frame = sys._getframe(depth)
        self._prune(frame)
        weights = [p for group in optimizer.param_groups for p in group["params"]]
        self._stack.append(OpenStep(optimizer, frame, passes, weights, closure, before=versions(weights)))
        return self._stack[-1]

    def under_way(self) -> bool:
        """Whether a step is under way at this moment."""
        self._prune(sys._getframe(1))
        return bool(self._stack)

    def _prune(self, frame: FrameType) -> None:
        while self._stack and not _on_stack(self._stack[-1].frame, frame):
            self._stack.pop()  # it ended by an exception, of which hooks are not told

    def end(self, optimizer: Any) -> OpenStep | None:
        """The step of this optimizer is over; None if its beginning was not seen."""
        while self._stack:
            step = self._stack.pop()
            if step.optimizer is optimizer:
                return step
        return None

    def within(self, step: OpenStep, finished: Stepped) -> bool:
        """Hand a finished step to the step around it; False where there is none."""
        if not self._stack:
            return False
        outer = self._stack[-1]
        if {id(t) for t in step.weights} <= {id(t) for t in outer.weights}:
            outer.inside += versions(step.weights) - step.before
        outer.inner.append(finished)
        outer.last = sample(outer.weights)
        return True


def _on_stack(wanted: FrameType, frame: FrameType | None) -> bool:
    while frame is not None:
        if frame is wanted:
            return True
        frame = frame.f_back
    return False


def real(steps: list[Stepped]) -> list[Stepped]:
    """The steps that count: an optimizer that never does more than to hand on is left out."""
    moving = {one.update.optimizer for one in _flat(steps) if not one.hands_on}
    return list(_counted(steps, moving))


def _flat(steps: Iterable[Stepped]) -> Iterator[Stepped]:
    for one in steps:
        yield one
        yield from _flat(one.inner)


def _counted(steps: Iterable[Stepped], moving: set[int]) -> Iterator[Stepped]:
    for one in steps:
        if one.update.optimizer in moving:
            yield one
        else:
            yield from _counted(one.inner, moving)


def watched(
    closure: Callable[..., Any], called: Callable[[], None], watching: Callable[[], AbstractContextManager[Any]]
) -> Any:
    """The closure, with `called` before it and `watching` around it."""

    def ours(*args: Any, **kwargs: Any) -> Any:
        called()
        with watching():
            return closure(*args, **kwargs)

    functools.update_wrapper(ours, closure, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
    return ours


def closure_of(args: Any, kwargs: Any) -> Any:
    """The closure among the arguments of a step (the first is the optimizer); None where there is none."""
    given = args[1] if len(args) > 1 else kwargs.get("closure")
    return given if callable(given) else None


def with_closure(args: Any, kwargs: Any, closure: Any) -> tuple[Any, Any]:
    """The arguments of a step with another closure."""
    if len(args) > 1:
        return (args[0], closure, *args[2:]), kwargs
    return args, {**kwargs, "closure": closure}
