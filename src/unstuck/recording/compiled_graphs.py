"""The calls of a compiled graph as its eager code makes them, without running it: read once, with fake tensors.

Dynamo captures the person's calls as an FX graph and hands it to a compiler, whose code no function mode can look into.
The graph is therefore interpreted once, as eager code, on tensors without data, under a mode that notes the calls as
the tracer would have. Each later call of the compiled code then only needs the real tensors put in the places of those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import HigherOrderOperator
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from unstuck.recording.compiled_calls import Reading, Step, Unreadable
from unstuck.recording.notes import Notes
from unstuck.recording.parameter_names import is_weight
from unstuck.recording.tracer import SKIPPED, Entry, Tracer, tensors
from unstuck.tape.site import Site

CUTS = {torch.autograd.grad, torch.autograd.backward, torch.Tensor.backward}
SUBGRAPH = {
    "invoke_subgraph": 2,
    "tag_activation_checkpoint": 1,
    "wrap_with_set_grad_enabled": 2,
    "wrap_with_autocast": 5,
}
"""Operators that only run a graph within the graph, with the place of the first argument that is handed to it."""
MOST = 64
"""Readings of a graph that are kept: one for each set of shapes."""
Graphs = dict[fx.GraphModule, fx.Graph]
Locate = Callable[[str, str], tuple[Site, ...]]
"""From the text of a stack, and the name of an operation, to sites."""


class CompiledGraph:
    """A captured graph, copied before its compiler may change it. `locate` turns the text of a stack into sites."""

    def __init__(self, module: fx.GraphModule, locate: Locate) -> None:
        self._module, self._locate = module, locate
        self._graphs = {m: _copied(m.graph) for m in module.modules() if isinstance(m, fx.GraphModule)}
        self._readings: dict[Any, Reading] = {}
        self.writes: bool | None = None
        """Whether it writes to weights; None as long as it has not been read."""

    def reading(self, inputs: tuple[Any, ...], depends: Callable[[Tensor], bool]) -> Reading:
        """Of a call with these inputs, of which some depend on a weight. Raises Unreadable, or what torch raises."""
        known = tuple(_told(t, depends) for t in inputs)
        if known not in self._readings:
            while len(self._readings) >= MOST:
                del self._readings[next(iter(self._readings))]
            self._readings[known] = self._read(inputs, [isinstance(t, Tensor) and depends(t) for t in inputs])
            self.writes = bool(self._readings[known].written)
        return self._readings[known]

    def _read(self, inputs: tuple[Any, ...], depends: list[bool]) -> Reading:
        random, grad = torch.get_rng_state(), torch.is_grad_enabled()
        fakes = _Fakes(FakeTensorMode(allow_non_fake_inputs=True))
        try:
            given = tuple(fakes.of(t) if isinstance(t, Tensor) else t for t in inputs)
            listener = _Listener({id(g): g for g, known in zip(given, depends, strict=True) if known}, self._locate)
            with fakes.mode, listener.operators, listener:
                made = _Interpreter(self._module, self._graphs, listener, fakes).run(*given)
        finally:
            torch.set_grad_enabled(grad)
            torch.set_rng_state(random)
        known = (*given, *fakes.held.values())
        real = (*inputs, *fakes.held)
        changed = frozenset(n for n, g in enumerate(known) if isinstance(g, Tensor) and fakes.changed(g, listener))
        written = frozenset(n for n in changed if is_weight(real[n]))
        outputs = tuple(made) if isinstance(made, tuple | list) else (made,)
        return Reading(tuple(_needed(listener.steps)), known, tuple(fakes.held), outputs, changed, written)


class _Fakes:
    """The fake tensors that stand for real ones."""

    def __init__(self, mode: FakeTensorMode) -> None:
        self.mode = mode
        self.held: dict[Tensor, Tensor] = {}
        """The fake tensors by the real ones that the graph itself holds."""
        self._versions: dict[int, int] = {}

    def of(self, tensor: Tensor) -> Tensor:
        """What stands for it."""
        fake = tensor.clone() if _number(tensor) else self.mode.from_tensor(tensor, trace=False)
        self._versions[id(fake)] = _version(fake)
        return fake

    def of_held(self, tensor: Tensor) -> Tensor:
        """The same for one that the graph holds."""
        if tensor not in self.held:
            self.held[tensor] = self.of(tensor)
        return self.held[tensor]

    def changed(self, fake: Tensor, listener: _Listener) -> bool:
        """Whether it was written to; an operator on a list of tensors gives them no new version."""
        return _version(fake) != self._versions.get(id(fake), 0) or id(fake) in listener.operators.wrote


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _told(value: Any, depends: Callable[[Tensor], bool]) -> tuple[Any, ...]:
    """What tells an input from others for which the same graph makes other calls."""
    if not isinstance(value, Tensor):
        return type(value), value
    return tuple(value.shape), value.dtype, value.requires_grad, depends(value), _number(value) and value.item()


def _number(tensor: Tensor) -> bool:
    """Whether it is a number of Python's that Dynamo hands over as a tensor, and that the graph may read."""
    return tensor.dtype is torch.float64 and tensor.device.type == "cpu" and not tensor.shape


class _Interpreter(fx.Interpreter):
    def __init__(self, module: fx.GraphModule, graphs: Graphs, listener: _Listener, fakes: _Fakes) -> None:
        super().__init__(module, graph=graphs[module])
        self._graphs, self._listener, self._fakes = graphs, listener, fakes

    def run_node(self, n: fx.Node) -> Any:
        self._listener.node = n
        return super().run_node(n)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not isinstance(target, HigherOrderOperator):
            return super().call_function(target, args, kwargs)
        first = SUBGRAPH.get(target.name())
        graph = next((a for a in args if isinstance(a, fx.GraphModule)), None)
        if first is None or graph not in self._graphs:
            raise Unreadable(f"it calls {target.name()}")
        with _surroundings(target.name(), args):
            return _Interpreter(graph, self._graphs, self._listener, self._fakes).run(*args[first:])

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise Unreadable("it calls a module as a whole")

    def get_attr(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        held = super().get_attr(target, args, kwargs)
        if not isinstance(held, Tensor):
            return held
        fake = self._fakes.of_held(held)
        if self._listener.depends(held):
            self._listener.made[id(fake)] = fake
        return fake


def _surroundings(name: str, args: tuple[Any, ...]) -> Any:
    if name == "wrap_with_set_grad_enabled":
        return torch.set_grad_enabled(args[0])
    if name == "wrap_with_autocast":
        return torch.autocast(args[0], args[1], args[2], args[3])
    return torch.set_grad_enabled(torch.is_grad_enabled())


class _Operators(TorchDispatchMode):
    """Notices which operators draw random numbers, and what they write to."""

    def __init__(self) -> None:
        super().__init__()
        self.drew = False
        self.wrote: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.drew = self.drew or torch.Tag.nondeterministic_seeded in func.tags
        for number, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                given = args[number] if number < len(args) else kwargs.get(argument.name)
                self.wrote.update(id(t) for t in tensors(given))
        return func(*args, **kwargs)


class _Listener(Tracer):
    """A tracer that notes every call, those too that do not depend on a weight."""

    def __init__(self, depends: dict[int, Tensor], locate: Locate) -> None:
        super().__init__({}, self._sites, Notes())
        self.made = depends
        self.node: fx.Node | None = None
        self.steps: list[tuple[Entry, bool, bool]] = []
        """Each call, whether the tracer keeps it, and whether it draws random numbers."""
        self.operators = _Operators()
        self._locate = locate
        self._known: dict[fx.Node, tuple[Site, ...]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in CUTS:
            raise Unreadable("it holds a backward")
        kept = func not in SKIPPED and self._depends(args, kwargs)
        before = self._untouched(func, args) if kept else None
        self.operators.drew = False
        out = func(*args, **kwargs)
        self.note(func, args, kwargs, out, before)
        if self.entries:
            self.steps.append((self.entries.pop(), kept, self.operators.drew))
            if not kept:
                for t in self.steps[-1][0].results:
                    self.made.pop(id(t), None)
        return out

    def _perhaps_new(self, weight: Tensor, args: Any, kwargs: Any) -> None:
        """Whether a value has become a weight is told from the real ones."""

    def _sites(self) -> tuple[Site, ...]:
        node = self.node
        if node is None:
            return ()
        if node not in self._known:
            target = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
            self._known[node] = self._locate(node.meta.get("stack_trace") or "", target)
        return self._known[node]


def _copied(graph: fx.Graph) -> fx.Graph:
    """A copy of a graph, of whose notes only the stacks are kept."""
    copy = fx.Graph()
    copy.output(copy.graph_copy(graph, {}))
    for node in copy.nodes:
        node.meta = {"stack_trace": node.meta.get("stack_trace")}
    return copy


def _needed(steps: list[tuple[Entry, bool, bool]]) -> list[Step]:
    """Those that the tracer keeps, and those that prepare their arguments; what is random has to be kept as well."""
    drawn: set[int] = set()
    found: list[Step] = []
    for entry, kept, random in steps:
        unknown = not kept and (random or any(id(t) in drawn for t in tensors((entry.args, entry.kwargs))))
        if unknown:
            drawn.update(id(t) for t in entry.results)
        found.append(Step(entry, kept or unknown))
    wanted = {id(t) for (entry, kept, _) in steps if kept for t in tensors((entry.args, entry.kwargs))}
    needed: list[Step] = []
    for step, (_, kept, _) in zip(found[::-1], steps[::-1], strict=True):
        if kept or any(id(t) in wanted for t in step.entry.results):
            needed.append(step)
            wanted.update(id(t) for t in tensors((step.entry.args, step.entry.kwargs)))
    return needed[::-1]
