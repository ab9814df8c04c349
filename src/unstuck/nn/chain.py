"""Find the pairs of a scaling layer and the only linear layer that its output enters."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from unstuck.nn.running import RunningStandardize
from unstuck.nn.scaling import Scaling

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class FoldError(ValueError):
    """A scaling layer cannot be folded exactly; the message is one line with the layer and the reason."""


@dataclass(frozen=True)
class Link:
    """A scaling layer and the layer it can be folded into."""

    front: str
    """Name of the scaling layer in the model."""
    behind: str
    """Name of the linear layer."""
    scaling: Scaling
    layer: Any
    flattened: bool
    """Whether all axes from 1 on are flattened in between."""

    def __str__(self) -> str:
        return f"{self.front} -> {self.behind}"


class _Tracer(fx.Tracer):
    """Traces into every module except torch's and ours; `shallow`: only into those with a scaling layer."""

    def __init__(self, shallow: bool) -> None:
        super().__init__()
        self.shallow = shallow

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, Scaling) or super().is_leaf_module(m, module_qualified_name):
            return True
        return type(m).__module__.startswith("unstuck.nn") or (self.shallow and not any(_scalings(m)))


def links(model: nn.Module) -> list[Link]:
    """The pairs, last one first. Raises FoldError for a scaling layer without such a pair."""
    if isinstance(model, Scaling):
        raise FoldError("the model is only a scaling layer: there is no layer to fold it into")
    if not any(_scalings(model)):
        return []
    found = [_Reading(model, _traced(model, training)).links() for training in (True, False)]
    if found[0] != found[1]:
        raise FoldError("the model uses its scaling layers differently in train and eval mode")
    return found[0]


def _scalings(model: nn.Module) -> Iterator[str]:
    return (name for name, module in model.named_modules(remove_duplicate=False) if isinstance(module, Scaling))


def _traced(model: nn.Module, training: bool) -> fx.Graph:
    twin = copy.deepcopy(model).train(training)
    try:
        return _Tracer(shallow=False).trace(twin)
    except Exception:  # a user's forward may raise anything when traced
        try:
            return _Tracer(shallow=True).trace(twin)
        except Exception as e:
            reason = (str(e).splitlines() or [type(e).__name__])[0]
            raise FoldError(
                f"cannot trace the forward of {type(model).__name__} ({reason}); fold the traceable part in place"
            ) from None


class _Reading:
    """Finds the pairs in one trace."""

    def __init__(self, model: nn.Module, graph: fx.Graph) -> None:
        self.model, self.graph = model, graph
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.names = Counter(id(module) for module in self.modules.values())
        self.weights = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
        self.calls = Counter(id(self._module(node)) for node in graph.nodes if node.op == "call_module")
        self.read = {node.target for node in graph.nodes if node.op == "get_attr"}

    def links(self) -> list[Link]:
        nodes = [node for node in self.graph.nodes if isinstance(self._module(node), Scaling)]
        missing = [name for name in _scalings(self.model) if not self.calls[id(self.modules[name])]]
        if missing:
            raise FoldError(f"{missing[0]}: the traced forward does not call this scaling layer")
        links = [self._link(node) for node in reversed(nodes)]
        self._check_padding(links)
        return links

    def _module(self, node: fx.Node) -> nn.Module | None:
        return self.modules.get(str(node.target)) if node.op == "call_module" else None

    def _link(self, node: fx.Node) -> Link:
        name, scaling = str(node.target), self._module(node)
        assert isinstance(scaling, Scaling)
        self._check_alone(name, scaling)
        _check_final(name, scaling)
        behind, flattened = self._behind(name, node)
        layer = self._module(behind)
        if type(layer) not in LINEAR:
            raise FoldError(f"{name}: the next layer is {self._name(behind)}, not Linear or Conv1d to Conv3d")
        assert layer is not None
        self._check_alone(str(behind.target), layer)
        return Link(name, str(behind.target), scaling, layer, flattened)

    def _behind(self, name: str, node: fx.Node) -> tuple[fx.Node, bool]:
        """The call that the output of `node` enters, skipping identity layers; and whether it was flattened."""
        flattened = False
        while True:
            if len(node.users) != 1:
                raise FoldError(f"{name}: its output is used {len(node.users)} times; folding needs exactly one use")
            (user,) = node.users
            if user.op != "call_module" and not _flattens_call(user):
                return user, flattened
            if user.args[:1] != (node,):
                raise FoldError(f"{name}: its output enters {self._name(user)} as another argument than the input")
            module = self._module(user)
            if user.op == "call_module" and not _passes(module):
                return user, flattened
            flattened |= user.op != "call_module" or isinstance(module, nn.Flatten)
            node = user

    def _check_alone(self, name: str, module: nn.Module) -> None:
        shared = self.names[id(module)] > 1 or any(self.weights[id(p)] > 1 for p in module.parameters())
        if shared or self.calls[id(module)] > 1:
            raise FoldError(
                f"{name}: it is shared or called {self.calls[id(module)]} times; folding needs exactly one use"
            )
        if any(str(read).startswith(f"{name}.") for read in self.read):
            raise FoldError(f"{name}: its weights are also read directly")
        if module._forward_hooks or module._forward_pre_hooks:
            raise FoldError(f"{name}: it has forward hooks, which would see other values")

    def _check_padding(self, links: list[Link]) -> None:
        several = Counter(link.behind for link in links)
        for link in links:
            if several[link.behind] > 1 and getattr(link.layer, "padding", 0) not in (0, (0,), (0, 0), (0, 0, 0)):
                raise FoldError(f"{link}: two scaling layers in a row in front of padding cannot be folded")

    def _name(self, node: fx.Node) -> str:
        if node.op == "output":
            return "the model's output"
        module = self._module(node)
        return str(getattr(node.target, "__name__", node.target)) if module is None else type(module).__name__


def _passes(module: nn.Module | None) -> bool:
    if isinstance(module, Scaling) or type(module) is nn.Identity:
        return True
    return isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1)


def _flattens_call(node: fx.Node) -> bool:
    """torch.flatten(x, 1) or x.flatten(1)."""
    if (node.op, node.target) not in (("call_function", torch.flatten), ("call_method", "flatten")):
        return False
    given = {**dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False)), **node.kwargs}
    return bool(node.args) and (given.get("start_dim", 0), given.get("end_dim", -1)) == (1, -1)


def _check_final(name: str, scaling: Scaling) -> None:
    if not scaling.fitted:
        raise FoldError(f"{name}: it is not fitted")
    if isinstance(scaling, RunningStandardize) and not bool(scaling.frozen):
        raise FoldError(f"{name}: its running statistics are not frozen")
    if scaling.fill is not None:
        raise FoldError(f"{name}: it fills missing values, which weights cannot do")
