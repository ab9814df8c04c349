"""The recorder: attaches to a running script through public hooks and fills a tape.

It lives in the person's process. Whatever goes wrong in here becomes a note on the tape; nothing of theirs is changed:
no random number is drawn, no tensor of theirs is written to, and the hooks can be taken away at any moment.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.overrides import _get_current_function_mode  # the only way to ask which mode is on top

from unstuck.recording.budget import SECONDS, STEPS, Budget
from unstuck.recording.call_sites import Whereabouts
from unstuck.recording.evaluations import Forwards
from unstuck.recording.optimizers import Manners
from unstuck.recording.parameter_names import Names, is_weight
from unstuck.recording.programs import Programs
from unstuck.recording.retained_graphs import Hold
from unstuck.recording.sampling import CHUNK, Light
from unstuck.recording.slicing import needed
from unstuck.recording.stdout import Speech
from unstuck.recording.tensor_store import Shelf
from unstuck.recording.tracer import Entry, Log, tensors
from unstuck.recording.warning_sites import Warned
from unstuck.tape.model import Pass, Tape

PASSES = 6_000
"""Passes recorded in full; later ones leave their loss only."""
DETAILED = 6
"""Passes (and evaluations) of one program for which the frames are read; later ones have the same lines."""
GRADIENTS = 40
"""Gradient norms are taken for the first passes, then for every such one."""


class Recorder:
    """One recording. `attach`, run the script, `detach`, then `tape(...)`."""

    def __init__(self, folder: Path, *, steps: int = STEPS, seconds: float = SECONDS) -> None:
        self.budget = Budget(steps, seconds)
        self.where = Whereabouts(folder)
        self.shelf, self.names, self.manners = Shelf(), Names(), Manners()
        self.log = Log(self._marks(), self._sites, self.trouble)
        self.programs = Programs(self.names, self._is_weight)
        self.passes: list[Pass] = []
        self.forwards = Forwards(self.shelf, self.programs.kept, self.programs.cut, self.trouble)
        self.speech = Speech(self._said, self.trouble)
        self.warned, self.hold = Warned(), Hold()
        self.losses: list[float] = []
        self.notes: list[str] = []
        self.light: Light | None = None
        self._older: list[Entry] = []
        self._last: list[Entry] = []
        self._reaches_back = False
        self._hooks: list[Any] = []
        self._thread = threading.get_ident()
        self._on = False

    # -- attaching ---------------------------------------------------------------------------------------------------

    def attach(self) -> None:
        """Start to watch the calling thread, or go on."""
        self.speech.attach()
        self.warned.attach()
        if self.light is not None:
            self._go_lightly(self.light)
        else:
            self._hooks = [
                register_optimizer_step_pre_hook(self._before_step),
                register_optimizer_step_post_hook(self._after_step),
            ]
            self._switch(True)

    def detach(self) -> None:
        """Stop watching; the process is as if we had never been there."""
        self._unhook()
        self.speech.detach()
        self.warned.detach()
        if self.light is not None:
            self.light.detach()
            self._fold(self.light)
        self._switch(False)
        self._guarded(self._leftovers)
        self._older, self._last = [], []  # tensors that workers share must not outlive the script's own hold on them

    def _switch(self, on: bool) -> None:
        if on and not self._on:
            self.log.__enter__()
            self._on = True
        elif not on and self._on and _get_current_function_mode() is self.log:
            self.log.__exit__(None, None, None)
            self._on = False

    def trouble(self, error: Exception) -> None:
        """Our own failure: a note, once per kind."""
        note = f"the recorder met {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if note not in self.notes and len(self.notes) < 20:
            self.notes.append(note)

    def _guarded(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except Exception as error:
            return self.trouble(error)

    # -- what marks a step -------------------------------------------------------------------------------------------

    def _marks(self) -> dict[Any, Callable[..., Any]]:
        return {
            torch.Tensor.backward: self._on_backward,
            torch.autograd.backward: self._on_backward,
            torch.autograd.grad: self._on_grad,
        }

    def _on_backward(self, func: Any, args: Any, kwargs: Any) -> Any:
        loss = args[0] if args else kwargs.get("tensors", kwargs.get("self"))
        loss = next(iter(tensors(loss)), None)
        opened = self._guarded(self._open, loss)
        try:
            result = func(*args, **kwargs)
        except Exception as error:
            self._guarded(self._close, opened, f"{type(error).__name__}: {error}")
            raise
        self._guarded(self._close, opened, "")
        if not self.manners.has_optimizer:
            self.check_budget()
        return result

    def _on_grad(self, func: Any, args: Any, kwargs: Any) -> Any:
        if kwargs.get("create_graph") or (len(args) > 4 and args[4]):
            result = func(*args, **kwargs)
            self._guarded(self.log._note, func, args, kwargs, result, None)
            return result
        inputs = list(tensors(args[1] if len(args) > 1 else kwargs.get("inputs")))
        if not any(t in self.names or isinstance(t, torch.nn.Parameter) or is_weight(t) for t in inputs):
            return func(*args, **kwargs)
        opened = self._guarded(self._open, next(iter(tensors(args[0] if args else kwargs.get("outputs"))), None))
        result = func(*args, **kwargs)
        self._guarded(self._close, opened, "")
        return result

    def _open(self, loss: Tensor | None) -> dict[str, Any] | None:
        """Before a backward: cut the program, keep the batch, look for gradients left over."""
        if loss is None:
            return None
        if self.light is not None or self._spent_recording():
            return self._open_light(loss)
        self.budget.begin()
        entries = needed([*self._older, *self.log.entries], loss)
        inside = {id(e) for e in entries}
        self._reaches_back = self._reaches_back or any(id(e) in inside for e in self._older)
        self._evaluate(inside)
        self.manners.between(self.log.written, self.names, len(self.passes))
        number, outside = self.programs.cut(entries, loss)
        keys = [self.shelf.keep(t) for t in outside]
        weights = self.programs.weights(number)
        stale = tuple(self.names.of(t) for t in weights if t.grad is not None and bool(t.grad.any()))
        self._first_sight(weights)
        if None in keys:
            return {"loss": loss, "outside": None}
        output = self._output(number, entries, outside)
        return {
            "loss": loss,
            "program": number,
            "outside": tuple(filter(None, keys)),
            "stale": stale,
            "weights": weights,
            "output": output,
        }

    def _turn(self) -> None:
        """Forget the step, but for the calls that a later backward may still reach (two players share a forward)."""
        recent = self._reaches_back or len(self.passes) < DETAILED
        self._older = [*self._last, *self.log.entries] if recent else []
        self._last = self.log.entries if recent else []
        self.log.clear()

    def _close(self, opened: dict[str, Any] | None, error: str) -> None:
        if opened is None:
            self._turn()
            return
        amount = float(opened["loss"].detach().float().sum()) if opened["loss"].numel() else math.nan
        if "light" in opened:
            self._close_light(opened["light"], amount, opened["weights"])
            return
        self.losses.append(amount)
        self.hold.mark(opened["loss"])
        if opened["outside"] is not None:
            norms = () if error else self._gradients(opened["weights"])
            self.passes.append(
                Pass(
                    opened["program"], opened["outside"], amount, opened["stale"], opened["output"], norms, error[:400]
                )
            )
            self.manners.after_backward(opened["weights"], len(self.passes))
        self._turn()

    def _close_light(self, one: Pass, amount: float, weights: list[Tensor]) -> None:
        assert self.light is not None
        norms = tuple(math.nan if t.grad is None else float(t.grad.detach().float().norm()) for t in weights)
        whole = "" not in one.outside
        self.light.add(msgspec.structs.replace(one, loss=amount, gradient=norms) if whole else None)
        self._turn()

    def _output(self, number: int, entries: list[Entry], outside: tuple[Tensor, ...]) -> str:
        """The key of what the loss was given: so that a run's skill is known even where it cannot be replayed."""
        made = self.programs.made(number, entries, outside)
        return "" if made is None else self.shelf.keep(made) or ""

    def _open_light(self, loss: Tensor) -> dict[str, Any] | None:
        """Before a backward of the light mode that is watched: its loss, and its batch where it is wanted."""
        if self.light is None:
            self.light = Light()
            self._go_lightly(self.light)
            self.forwards.blind = True
        self.light.watching = True  # also where no optimizer's hooks say when a step is over
        self._fold(self.light)
        self.light.note(loss)
        wanted = self.light.batches.wants() and not self.programs.full
        if not self.manners.has_optimizer:  # then the log is never taken away between steps: it looks elsewhere
            self.manners.steps += 1
            self.log.quiet = self.light.batches.seen + 1 < self.light.batches.due + wanted * self.light.batches.every
        if not wanted:
            self.light.add(None)
            return None
        entries = needed(self.log.entries, loss)
        number, outside = self.programs.cut(entries, loss)
        output = self.programs.made(number, entries, outside)
        keys = self.light.keep((*outside, *([] if output is None else [output])))
        named = len(outside)
        return {
            "loss": loss,
            "light": Pass(number, keys[:named], 0.0, output="".join(keys[named:])),
            "weights": self.programs.weights(number),
        }

    def _spent_recording(self) -> bool:
        return self.shelf.full or len(self.passes) >= PASSES or self.programs.full

    # -- what a step holds --------------------------------------------------------------------------------------------

    def _sites(self) -> tuple[Any, ...]:
        return self.where.sites(4)

    def _is_weight(self, tensor: Tensor) -> bool:
        # A bare leaf that first shows up late is an input that asks for its own gradient, not a weight.
        if not is_weight(tensor):
            return False
        return isinstance(tensor, torch.nn.Parameter) or tensor in self.names or len(self.passes) < 1

    def _first_sight(self, weights: list[Tensor]) -> None:
        for weight in weights:
            key = f"w:{self.names.of(weight)}"
            if key not in self.shelf.tensors:
                self.shelf.put(key, weight)
                self.manners.meet(weight, self.names)

    def _gradients(self, weights: list[Tensor]) -> tuple[float, ...]:
        count = len(self.passes)
        if count >= GRADIENTS and count % GRADIENTS:
            return ()
        return tuple(math.nan if t.grad is None else float(t.grad.detach().float().norm()) for t in weights)

    # -- evaluations: forwards that no backward followed -------------------------------------------------------------

    def _evaluate(self, inside: set[int]) -> None:
        for number in self.forwards.look(self.log.entries, inside, len(self.passes), self.programs.trained):
            self._guarded(self._first_sight, self.programs.weights(number))

    def _leftovers(self) -> None:
        self._evaluate(set())
        if self.log.entries:
            self.manners.between(self.log.written, self.names, len(self.passes))
        self.log.clear()

    def _said(self, line: str) -> None:
        self.forwards.sayings.add(len(self.log.entries), line, self._sites())

    # -- optimizer steps ---------------------------------------------------------------------------------------------

    def _before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        if self.light is not None:
            self.light.watching = False
            self._switch(False)
            return
        closure = any(a is not None for a in args[1:]) or kwargs.get("closure") is not None  # args[0] is the optimizer
        self._guarded(self._evaluate_unless, closure)
        self._guarded(self.manners.before_step, optimizer, closure, len(self.passes))
        if not closure:
            self._switch(False)

    def _evaluate_unless(self, closure: bool) -> None:
        if self.log.entries and not closure and any(not e.grad for e in self.log.entries):
            self._leftovers()

    def _after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        self.manners.steps += 1
        self._switch(True)
        self.check_budget()

    def check_budget(self) -> None:
        """Ask the script to stop (by raising Enough in its loop) once the budget is spent."""
        self.budget.check(self.manners.steps, bool(self.forwards.kept))

    # -- the light mode's steps --------------------------------------------------------------------------------------

    def _unhook(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _go_lightly(self, light: Light) -> None:
        """From now on an optimizer's steps are only counted; the first one is looked at."""
        self._unhook()
        self._hooks = [
            register_optimizer_step_post_hook(light.stepped(self._look)),
            register_optimizer_step_pre_hook(self._before_step),
        ]
        light.attach()
        light.left = 0

    def _fold(self, light: Light) -> None:
        self.manners.steps += light.fold(self.manners.steps)

    def _look(self) -> None:
        """After a step of the light mode, now and then: whether to watch the next one, and when to look again."""
        self._guarded(self._pace, self.light)
        self.check_budget()

    def _pace(self, light: Light) -> None:
        self._fold(light)
        light.watching = light.batches.wants()
        light.due = light.batches.due - light.batches.seen
        light.left = min(1 if light.watching else CHUNK, self.budget.left(self.manners.steps))
        light.deadline = self.budget.deadline(bool(self.forwards.kept))
        if light.watching and len(self._hooks) < 2:
            self._hooks.append(register_optimizer_step_pre_hook(self._before_step))
        elif not light.watching and len(self._hooks) > 1:  # the next steps need no hook before them
            self._hooks.pop().remove()
        self._switch(light.watching)

    # -- the tape ----------------------------------------------------------------------------------------------------

    def tape(self, script: str, stopped: str, error: dict[str, Any] | None = None) -> Tape:
        """Everything seen, as a tape."""
        for name, tensor in self.names.all():
            if f"w:{name}" in self.shelf.tensors:
                self.shelf.put(f"f:{name}", tensor)
        self.where.theirs(str(self.where.folder / script))
        light = self.light or Light()
        sources = {rel: text for rel, path in self.where.files().items() if (text := _text(path)) is not None}
        return Tape(
            script=script,
            folder=str(self.where.folder),
            torch=torch.__version__.partition("+")[0],
            stopped=stopped,
            programs=tuple(self.programs.kept),
            parameters=self.manners.parameters(self.names, set(self.shelf.tensors)),
            optimizers=self.manners.optimizers(),
            passes=tuple(self.passes),
            updates=self.manners.updates(),
            evaluations=tuple(self.forwards.kept),
            said=self.forwards.said(),
            steps=self.manners.steps,
            losses=(*self.losses, *(loss for _, loss in light.losses)),
            late_every=light.losses.every,
            late=tuple(p for _, p in light.batches),
            late_at=tuple(len(self.losses) + place for place, _ in light.batches),
            error=error,
            sources=sources,
            notes=tuple(self.notes),
            seconds=self.budget.passed(),
            facts={
                **self.manners.facts(),
                "late_rates": [list(rates) for _, rates in light.rates],
                "graphs": [self.hold.most, self.hold.steps],
            },
            tensors=self.shelf.tensors | light.shelf.tensors,
        )


def _text(path: str) -> str | None:
    try:
        return Path(path).read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
