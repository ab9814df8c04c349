"""While a compiled function runs, the recorder keeps out of the compiler's sight, and is told of its graphs instead.

Dynamo guards every compiled frame on the stack of function modes and on the hooks of optimizers, and traces into both:
a tracer left there would be compiled into the person's program, and would compile it anew whenever it comes or goes.
So both are taken away before a compiled function is entered, and put back behind it. What its graphs call is learnt
from the graphs that Dynamo captures (`compiled_graphs`); the person's backends get them unchanged.

Dynamo offers no public way to either. What is used of it: `_TorchDynamoContext.enter_exit_hooks` and
`OutputGraph.call_user_compiler`. Where they are missing, a note says that compiled functions cannot be read.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable
from functools import partial, update_wrapper
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

import torch

from unstuck.recording import mode_stack
from unstuck.recording.alive_optimizers import AliveOptimizers, version
from unstuck.recording.call_sites import CallSites
from unstuck.recording.compiled_lines import CompiledLines
from unstuck.recording.late_import import on_import
from unstuck.recording.notes import Notes
from unstuck.recording.step_hooks import StepHooks
from unstuck.recording.tracer import Tracer
from unstuck.tape.site import Site

if TYPE_CHECKING:
    from unstuck.recording.compiled_calls import Prepared

DYNAMO = "torch._dynamo"
MACHINERY = (str(Path(torch.__file__).parent / "_dynamo"), str(Path(__file__).parent))
"""Files whose frames lie between a compiled graph and the frame that it was compiled from."""
RESUMED = "torch_dynamo_resume_in_"
"""Begins the names of the functions in which Dynamo goes on behind a break between two graphs."""


class Watcher(Protocol):
    """The recorder, as compiled functions see it."""

    def on_backward(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A backward is called, and is to be done."""

    def on_grad(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The same for `torch.autograd.grad`."""

    def late_step(self, optimizer: Any) -> None:
        """An optimizer has stepped unseen."""

    def covered(self, ours: Any, original: Any) -> None:
        """The recorder put a function of its own in the place of one that stood in for an original, and is to go."""


class CompiledRegions:
    """`attach` to keep out of compiled functions from now on, `detach` to leave Dynamo as it was."""

    def __init__(self, tracer: Tracer, hooks: StepHooks, watcher: Watcher, call_sites: CallSites, notes: Notes) -> None:
        self._tracer, self._hooks, self._watcher, self._call_sites, self._notes = (
            tracer, hooks, watcher, call_sites, notes,
        )  # fmt: skip
        self._lines = CompiledLines(call_sites)
        self._failed = notes.failure("a compiled step")
        self._thread = threading.get_ident()
        self._optimizers = AliveOptimizers()
        self._depth = 0
        self._backwards = 0
        self._contexts: weakref.WeakSet[Any] = weakref.WeakSet()
        self._undo: list[Callable[[], None]] = []
        self._versions: dict[Any, int] = {}
        self._backward: _StandIn | None = None
        self._grad: _StandIn | None = None

    def attach(self) -> None:
        """Patch Dynamo, as soon as it is imported."""
        self._undo.append(on_import(DYNAMO, self._patch))

    def detach(self) -> None:
        """Take everything back; compiled code that is already there goes on without us."""
        for undo in self._undo[::-1]:
            undo()
        self._undo = []
        for context in self._contexts:
            if self._enter in context.enter_exit_hooks:
                context.enter_exit_hooks.remove(self._enter)

    # -- the patches -------------------------------------------------------------------------------------------------

    def _patch(self) -> None:
        try:
            from torch._dynamo import eval_frame, output_graph, trace_rules

            context, graph = eval_frame._TorchDynamoContext, output_graph.OutputGraph
            self._undo += [
                _replaced(eval_frame, "_maybe_set_eval_frame", self._in_switch),
                _replaced(context, "__init__", self._in_context),
                _replaced(graph, "call_user_compiler", self._in_graph),
            ]
            trace_rules.SKIP_DIRS += _ours()
            trace_rules._recompile_re()
        except (ImportError, AttributeError) as error:
            self._notes.add(f"compiled functions cannot be read with this version of torch ({error})")
            return
        for one in gc.get_objects():
            if issubclass(type(one), context):
                self._join(one)

    def _in_context(self, original: Callable[..., None]) -> Callable[..., None]:
        def __init__(context: Any, *args: Any, **kwargs: Any) -> None:
            original(context, *args, **kwargs)
            self._join(context)

        return __init__

    def _in_switch(self, original: Callable[..., None]) -> Callable[..., None]:
        """Dynamo turns itself on and off by this function: in code of theirs that it is kept out of, we can be."""

        def _maybe_set_eval_frame(callback: Any) -> None:
            inside = self._depth and threading.get_ident() == self._thread
            if inside and callback is not None:
                self._aside(True)
            original(callback)
            if inside and callback is None and self._disabled(sys._getframe(1)):
                self._aside(False)

        return _maybe_set_eval_frame

    def _disabled(self, frame: FrameType) -> bool:
        """Whether the call is about to enter a function of the person's that Dynamo is told to leave alone."""
        function = frame.f_locals.get("fn") if frame.f_code.co_name == "_fn" else None
        code = getattr(getattr(type(getattr(function, "__self__", None)), "forward", function), "__code__", None)
        return code is not None and self._call_sites.relative(code.co_filename) is not None

    def _aside(self, aside: bool) -> None:
        if aside != self._tracer.aside:
            self._tracer.watch(self._tracer.wanted, aside)
            self._hooks.aside(aside)

    def _join(self, context: Any) -> None:
        if context.callback is not None:
            context.enter_exit_hooks.append(self._enter)
            self._contexts.add(context)

    def _in_graph(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call_user_compiler(output: Any, gm: Any, example_inputs: Any) -> Any:
            if output.export or output.package is not None:  # what is compiled there is stored, and not ours to wrap
                return original(output, gm, example_inputs)
            graph = self._captured(gm)
            compiled = original(output, gm, example_inputs)
            return compiled if graph is None else self._telling(compiled, graph)

        return call_user_compiler

    def _captured(self, module: Any) -> Any:
        from unstuck.recording.compiled_graphs import CompiledGraph

        try:
            return CompiledGraph(module, self._lines.sites)
        except Exception as error:
            return self._failed(error)

    # -- a compiled function is entered and left ---------------------------------------------------------------------

    def _enter(self) -> Callable[[], None]:
        from torch._dynamo.eval_frame import _stance

        if threading.get_ident() != self._thread or _stance.stance == "force_eager":
            return _nothing
        self._depth += 1
        if self._depth == 1:
            self._aside(True)
            self._backward = _StandIn("backward", partial(self._standing_in, seen=self._watcher.on_backward))
            self._grad = _StandIn("grad", partial(self._standing_in, seen=self._watcher.on_grad))
        return self._leave

    def _leave(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._look_for_steps()
            for function in (self._backward, self._grad):
                if function is not None and not function.leave():
                    self._watcher.covered(function.ours, function.original)
            self._aside(False)

    def _standing_in(self, original: Callable[..., Any], seen: Callable[..., Any]) -> Callable[..., Any]:
        """For a function of autograd that the eager code between two graphs calls."""

        def function(*args: Any, **kwargs: Any) -> Any:
            if self._backwards or not self._tracer.reads_graphs:
                return original(*args, **kwargs)
            self._look_for_steps()
            self._backwards += 1
            try:
                return seen(original, args, kwargs)
            finally:
                self._backwards -= 1
                self._versions = {o: version(o) for o in self._optimizers.all()}

        return update_wrapper(function, original)

    def _look_for_steps(self) -> None:
        """Optimizers that stepped between two graphs, where their hooks are taken away."""
        for optimizer, before in self._versions.items():
            if version(optimizer) != before:
                self._watcher.late_step(optimizer)
        self._versions = {}

    # -- a graph is called -------------------------------------------------------------------------------------------

    def _telling(self, compiled: Callable[..., Any], graph: Any) -> Callable[..., Any]:
        """The compiled form of a graph, which tells of its calls whenever it is called."""
        compiled = _whole(compiled)

        def function(*args: Any) -> Any:
            if self._backwards or not self._depth or threading.get_ident() != self._thread:
                return compiled(*args)
            before = self._tracer.aside  # Dynamo is off while the code that it made runs
            try:
                self._aside(True)
                return self._called(compiled, graph, args, sys._getframe(1))
            finally:
                self._aside(before)

        return function

    def _called(self, compiled: Callable[..., Any], graph: Any, args: Any, frame: FrameType) -> Any:
        if graph.writes is False and not self._tracer.reads_graphs:
            return compiled(*args)
        reading = self._apart(graph.reading, args, self._tracer.depends)
        steps = [] if reading is None or not reading.written else self._optimizers.holding(reading.weights(args))
        for optimizer in steps:
            if self._hooks.before is not None:
                self._hooks.before(optimizer, (optimizer,), {})
        read = reading is not None and not steps and self._tracer.reads_graphs
        call = self._apart(reading.prepared, args) if read and reading is not None else None
        made = compiled(*args)
        for optimizer in steps:
            self._versions.pop(optimizer, None)
            if self._hooks.after is not None:
                self._hooks.after(optimizer, (optimizer,), {})
        if call is not None:
            self._note(call, made, frame)
        return made

    def _apart(self, read: Callable[..., Any], *args: Any) -> Any:
        """What a call of ours returns, which the person's own modes see nothing of; None where it fails."""
        from unstuck.recording.compiled_calls import Unreadable

        try:
            with mode_stack.nothing():
                return read(*args)
        except Unreadable as error:
            self._notes.add(f"a compiled function could not be read: {str(error).splitlines()[0]}")
        except Exception as error:
            self._failed(error)
        return None

    def _note(self, call: Prepared, made: Any, frame: FrameType) -> None:
        try:
            if call.written:
                self._tracer.write(call.written)
            self._tracer.add(list(call.entries(made, self._around(frame))))
        except Exception as error:
            self._failed(error)

    def _around(self, frame: FrameType | None) -> tuple[Site, ...]:
        """The person's frames outside the compiled one, whose own lines stand in the graph."""
        while frame is not None and frame.f_code.co_filename.startswith(MACHINERY):
            frame = frame.f_back
        while frame is not None and self._call_sites.relative(frame.f_code.co_filename) is not None:
            resumed = frame.f_code.co_name.startswith(RESUMED)  # the function that it goes on for stands outside it
            frame = frame.f_back
            if not resumed:
                break
        return self._call_sites.outward(frame)


class _StandIn:
    """A function of torch.autograd with another in its place."""

    def __init__(self, name: str, wrapped: Callable[[Any], Any]) -> None:
        self._name, self.original = name, getattr(torch.autograd, name)
        self.ours = wrapped(self.original)
        setattr(torch.autograd, name, self.ours)

    def leave(self) -> bool:
        """Put the original back; False where something else has been put there meanwhile."""
        still = getattr(torch.autograd, self._name) is self.ours
        if still:
            setattr(torch.autograd, self._name, self.original)
        return still


def _replaced(owner: Any, name: str, wrapped: Callable[[Any], Any]) -> Callable[[], None]:
    """Put a wrapper in the place of a method; returns what takes it back."""
    original = getattr(owner, name)
    setattr(owner, name, update_wrapper(wrapped(original), original))
    return lambda: setattr(owner, name, original)


def _ours() -> list[str]:
    """Our folders, which Dynamo is kept out of: what the recorder calls lies in all but `unstuck.nn`, whose layers are
    compiled like any others."""
    root = Path(__file__).parents[1]
    return [f"{folder}{os.sep}" for folder in sorted(root.iterdir()) if folder.is_dir() and folder.name != "nn"]


def _whole(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """Dynamo generates the code of a lazy graph module before its first call, but looks for it under no wrapper."""
    from torch.fx._lazy_graph_module import _LazyGraphModule

    module = compiled if isinstance(compiled, _LazyGraphModule) else getattr(compiled, "__self__", None)
    if not isinstance(module, _LazyGraphModule):
        return compiled
    _LazyGraphModule.force_recompile(module)
    return compiled if compiled is module else module.forward


def _nothing() -> None:
    pass
