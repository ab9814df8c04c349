"""The recorder: attaches to a running script through public hooks and fills a tape.

It lives in the person's process. Whatever goes wrong in here becomes a note on the tape; nothing of theirs is changed:
no random number is drawn, no tensor of theirs is written to, and the hooks can be taken away at any moment.
"""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unstuck.recording.budget import DEFAULT, Budget, Limits
from unstuck.recording.compiled_regions import CompiledRegions
from unstuck.recording.full_steps import FullSteps, Opened
from unstuck.recording.notes import UNRECORDED
from unstuck.recording.observed import Observed
from unstuck.recording.open_steps import OpenStep, closure_of, watched, with_closure
from unstuck.recording.optimizers import Gradients
from unstuck.recording.parameter_names import is_weight
from unstuck.recording.ranks import MARGIN, Meeting
from unstuck.recording.sampled_steps import SampledSteps
from unstuck.recording.sampling import Sampling
from unstuck.recording.snapshots import Snapshots
from unstuck.recording.stdout import StdoutTap
from unstuck.recording.step_hooks import StepHooks
from unstuck.recording.tracer import tensors
from unstuck.recording.warning_sites import WarningSites
from unstuck.tape.model import Command, Tape

_alive: weakref.WeakSet[Recorder] = weakref.WeakSet()


class Recorder:
    """One recording. `attach`, run the script, `detach`, then `tape(...)`."""

    def __init__(self, folder: Path, limits: Limits = DEFAULT, meeting: Meeting | None = None) -> None:
        self.budget = Budget(limits)
        self._meeting = meeting
        self.observed = Observed(folder, self._marks())
        self.sampled: SampledSteps | None = None
        """From the moment on when the tape is full."""
        self._full = FullSteps(self.observed)
        self._step_failed = self.observed.notes.failure("a training step")
        self._taps = (
            StdoutTap(self.observed.printed, self.observed.notes.failure("a printed line")),
            WarningSites(),
        )
        self.snapshots: Snapshots | None = None
        """Writes the tape while the script runs, if anything does."""
        self._hooks = StepHooks()
        self._thread = threading.get_ident()
        observed = self.observed
        self._compiled = CompiledRegions(observed.tracer, self._hooks, self, observed.call_sites, observed.notes)
        _alive.add(self)

    # -- attaching ---------------------------------------------------------------------------------------------------

    def attach(self) -> None:
        """Start to watch the calling thread, or go on."""
        for tap in self._watchers():
            tap.attach()
        self._compiled.attach()
        if self.sampled is not None:
            self._sample(self.sampled.sampling)
        else:
            self._hooks.place(self._before_step, self._after_step)
            self.observed.tracer.watch(True)

    def _watchers(self) -> tuple[Any, ...]:
        """What is attached and detached with the recorder."""
        observed = self.observed
        return (*self._taps, observed.settings, observed.constructions, observed.loads_and_clips)

    def detach(self) -> None:
        """Stop watching; the process is as if we had never been there."""
        self._hooks.place(None, None)
        self._compiled.detach()
        for tap in self._watchers():
            tap.detach()
        if self.sampled is not None:
            self.sampled.sampling.detach()
            self.sampled.fold()
            self._guarded(self.sampled.sampling.read)
        self.observed.tracer.watch(False)
        self._guarded(self.observed.leftovers)
        self._full.forget()

    def forked(self) -> None:
        """In a process that was forked (a DataLoader's worker): nothing of ours is left there."""
        self._hooks.place(None, None)
        self._compiled.detach()
        for tap in self._watchers():
            tap.detach()
        if self.sampled is not None:
            self.sampled.sampling.detach()
        self.observed.tracer.watch(False)
        self.observed.tracer.close()  # it may lie beneath a mode of the script's own
        self._full.forget()

    @property
    def trained(self) -> bool:
        """Whether a training step was seen."""
        return bool(self.observed.losses)

    def tape(
        self, script: str, stopped: str, error: dict[str, Any] | None = None, command: Command | None = None
    ) -> Tape:
        """Everything recorded, as a tape."""
        sampling = Sampling() if self.sampled is None else self.sampled.sampling
        return self.observed.tape(script, stopped, sampling, self.budget, error, command)

    def _guarded(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        try:
            return call(*args, **options)
        except Exception as error:
            return self._step_failed(error)

    # -- backward: what marks a step ---------------------------------------------------------------------------------

    def _marks(self) -> dict[Any, Callable[..., Any]]:
        return {
            torch.Tensor.backward: self.on_backward,
            torch.autograd.backward: self.on_backward,
            torch.autograd.grad: self.on_grad,
        }

    def on_backward(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A call of a function that runs a backward, which is done here."""
        loss = args[0] if args else kwargs.get("tensors", kwargs.get("self"))
        opened = self._guarded(self._open, loss)
        self._guarded(self._full.rest)
        try:
            result = func(*args, **kwargs)
        except Exception as error:
            self._guarded(self._close, opened, f"{type(error).__name__}: {error}")
            raise
        self._guarded(self._close, opened, "")
        if not self.observed.optimizers.stepped:
            self.check_budget()
        return result

    def on_grad(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The same for `torch.autograd.grad`."""
        if kwargs.get("create_graph") or (len(args) > 4 and args[4]):
            result = func(*args, **kwargs)
            self._guarded(self.observed.tracer.note, func, args, kwargs, result, None)
            return result
        inputs = list(tensors(args[1] if len(args) > 1 else kwargs.get("inputs")))
        if not any(t in self.observed.names or isinstance(t, torch.nn.Parameter) or is_weight(t) for t in inputs):
            return func(*args, **kwargs)
        opened = self._guarded(self._open, args[0] if args else kwargs.get("outputs"), adds=False)
        self._guarded(self._full.rest)
        result = func(*args, **kwargs)
        given = {id(t): g for t, g in zip(inputs, result, strict=False) if g is not None}
        self._guarded(self._close, opened, "", given)
        return result

    def _open(self, losses: Any, adds: bool = True) -> Opened | None:
        self.observed.trained_in.look()
        loss: Tensor | None = next(tensors(losses), None)
        if loss is None:
            return None
        if self.sampled is None and self._full.spent:
            self.observed.loop_calls.close()
            self.sampled = SampledSteps(self.observed, self.budget)
            self.sampled.sampling.factor = self.observed.tracer.scaling.device_factor
            self._sample(self.sampled.sampling)
        plain, factor = self.observed.tracer.scaling.undone(loss)
        if self.sampled is not None:
            opened = self.sampled.open(plain)
        else:
            self.budget.begin()
            self.observed.place()
            self.observed.vocabularies.look(self.observed.tracer.entries)
            if self._meeting is not None and not self.trained:
                self._meeting.mark("training")
            self.observed.loop_calls.backward()
            opened = self._full.open(plain, adds)
        return opened if opened is None else opened._replace(factor=factor)

    def _close(self, opened: Opened | None, error: str, given: Gradients | None = None) -> None:
        if opened is not None:
            loss = float(opened.loss.detach().float().sum()) if opened.loss.numel() else math.nan
            if opened.sampled and self.sampled is not None:
                self.sampled.close(opened, loss)
            else:
                self._full.close(opened, loss, error, given)

    # -- optimizer steps ---------------------------------------------------------------------------------------------

    def _before_step(self, optimizer: Any, args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self._thread:
            return self._elsewhere()
        closure = closure_of(args, kwargs)
        if self.sampled is not None:
            return self._before_sampled(args, kwargs, closure)
        self._guarded(self._leftovers, closure)
        step = self._guarded(self._begin, optimizer, closure)
        self.observed.tracer.watch(False)
        if closure is None or step is None:
            return None
        return with_closure(args, kwargs, watched(closure, partial(self._guarded, step.call), self._watching))

    def _elsewhere(self) -> None:
        """An optimizer steps in a thread that is not recorded."""
        if not self.observed.passes:
            name = threading.current_thread().name
            self.observed.notes.add(f"{UNRECORDED}an optimizer steps in {name}, not in the thread that runs the script")

    def _begin(self, optimizer: Any, closure: Any) -> OpenStep:
        return self.observed.optimizers.begin_step(optimizer, closure is not None, len(self.observed.passes))

    def _before_sampled(self, args: Any, kwargs: Any, closure: Any) -> Any:
        assert self.sampled is not None
        wanted, self.sampled.sampling.watching = self.sampled.sampling.watching, False
        self.observed.tracer.watch(False)
        if closure is None or not wanted:
            return None
        return with_closure(args, kwargs, watched(closure, self._look_on, self._watching))

    def _look_on(self) -> None:
        if self.sampled is not None:
            self.sampled.sampling.watching = True

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Inside a closure that an optimizer calls: what it computes is the person's."""
        self.observed.tracer.watch(True)
        try:
            yield
        finally:
            if self.sampled is not None:
                self.sampled.sampling.watching = False
            self.observed.tracer.watch(False)

    def _leftovers(self, closure: Any) -> None:
        entries = self.observed.tracer.entries
        if entries and closure is None and any(not e.grad for e in entries):
            self.observed.leftovers()

    def _after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        if self._guarded(self.observed.optimizers.end_step, optimizer, len(self.observed.passes)) is False:
            return
        self._guarded(self._stepped, optimizer)
        self.observed.tracer.watch(True)
        self.check_budget()

    def _stepped(self, optimizer: Any) -> None:
        self.observed.loop_calls.step(self.observed.optimizers.place(optimizer))

    def late_step(self, optimizer: Any) -> None:
        """An optimizer stepped where no hook saw it, between two graphs of a compiled function."""
        if self.sampled is not None:
            self.observed.optimizers.steps += 1
        else:
            self._guarded(self.observed.optimizers.late_step, optimizer, len(self.observed.passes))

    def covered(self, ours: Any, original: Any) -> None:
        """What the light mode has put over a function of torch is to stand on the original from now on."""
        if self.sampled is not None:
            self.sampled.sampling.stand_on(original, instead_of=ours)

    def check_budget(self) -> None:
        """Ask the script to stop (by raising BudgetSpent in its loop) once the budget is spent.

        Ranks stop at the same optimizer step: one that goes on alone waits for the gradients of the others.
        """
        if self.snapshots is not None:
            self._guarded(self.snapshots.look, self.budget.passed())
        steps, validated = self.observed.optimizers.steps, bool(self.observed.forwards.kept)
        if self._meeting is None or self.observed.rank is None:
            self.budget.check(steps, validated)
        elif self._agreed(self._meeting, steps, validated):
            self.budget.stop(steps)

    def _agreed(self, meeting: Meeting, steps: int, validated: bool) -> bool:
        at = meeting.stop()
        if at is None and self.budget.due(steps, validated):
            if self.budget.left(steps) <= 0:  # so it is on all ranks
                return True
            meeting.announce(steps + MARGIN)
        return at is not None and steps >= at

    def stop(self) -> None:
        """Ask the script to stop: the processes that train for it have been stopped."""
        self.budget.stop(self.observed.optimizers.steps)

    # -- once the tape is full ---------------------------------------------------------------------------------------

    def _sample(self, sampling: Sampling) -> None:
        """From now on an optimizer's steps are only counted; the first one is looked at."""
        self._hooks.place(self._before_step, sampling.after_step(self._look))
        sampling.attach()
        sampling.left = 0

    def _look(self) -> None:
        """After an optimizer's step, now and then."""
        self._guarded(self._pace, self.sampled)
        self.check_budget()

    def _pace(self, sampled: SampledSteps) -> None:
        sampled.pace()
        watching = sampled.sampling.watching
        if watching != (self._hooks.before is not None):  # steps that are not watched need no hook before them
            self._hooks.place(self._before_step if watching else None, self._hooks.after)
        self.observed.tracer.watch(watching)


def _forked() -> None:
    for recorder in list(_alive):
        recorder.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
