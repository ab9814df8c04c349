"""Names for the tensors a program reads as weights: found among the modules alive, then among the variables."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

from torch import Tensor, nn

FEW = 1000
"""Items of a list or dict among the script's variables that are looked through for a weight."""
SCANS = 40
"""How often all objects are searched for modules; a script that makes models by the hundred gets plain names."""

WRAPPERS = {"torch._dynamo.": "_orig_mod", "torch.nn.parallel.": "module", "torch.distributed.": "module"}
"""Where torch's wrappers come from, and under what name each holds the module that it stands around."""


class Names:
    """Remembers every weight it has named (and holds it, so that an id never means two tensors)."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Tensor, str]] = {}
        self._owners: dict[int, tuple[str, nn.Module, str]] = {}
        self._taken: set[str] = set()
        self._scans = 0
        self.rebound = 0
        """How often a name has gone over to another tensor."""

    def __contains__(self, tensor: Tensor) -> bool:
        return id(tensor) in self._known

    def of(self, tensor: Tensor) -> str:
        """The weight's name; a new one gets the path from the outermost module, or its variable's name."""
        if id(tensor) not in self._known:
            self._known[id(tensor)] = (tensor, self._unique(self._find(tensor)))
        return self._known[id(tensor)][1]

    def follow(self, old: Tensor, new: Tensor) -> None:
        """A weight's name goes over to the tensor that has taken its place."""
        name = self._known.pop(id(old))[1]
        self._known[id(new)] = (new, name)
        self.rebound += 1
        if id(old) in self._owners:
            self._owners[id(new)] = self._owners.pop(id(old))

    def tensors(self) -> dict[str, Tensor]:
        """Every named weight, by its name."""
        return {name: tensor for tensor, name in self._known.values()}

    def all(self) -> Iterator[tuple[str, Tensor]]:
        """Every named weight."""
        yield from ((name, tensor) for tensor, name in self._known.values())

    def owner(self, tensor: Tensor) -> tuple[str, str]:
        """(class of the module that owns the weight, name of the outermost module in the script), "" where none."""
        root, module, _ = self._owners.get(id(tensor), ("", None, ""))
        return (type(module).__name__ if module is not None else ""), root

    def modules_of(self, tensor: Tensor) -> nn.Module | None:
        """The module that owns the weight directly."""
        found = self._owners.get(id(tensor))
        return found[1] if found else None

    def _find(self, tensor: Tensor) -> str:
        if isinstance(tensor, nn.Parameter) and id(tensor) not in self._owners and self._scans < SCANS:
            self._scans += 1
            self._owners |= _owners()
        if id(tensor) in self._owners:
            return self._owners[id(tensor)][2]
        return _variable(tensor) or "weight"

    def _unique(self, name: str) -> str:
        plain, number = name, 1
        while name in self._taken:
            number += 1
            name = f"{plain}#{number}"
        self._taken.add(name)
        return name


def _owners() -> dict[int, tuple[str, nn.Module, str]]:
    # type(), not isinstance(): asking a lazy proxy for its class would wake it up.
    alive = [o for o in gc.get_objects() if issubclass(type(o), nn.Module)]
    alive = [m for m in alive if not (inside := _inside(m)) or not _variable(m._modules[inside])]
    children = {id(child) for module in alive for child in module._modules.values() if child is not None}
    found: dict[int, tuple[str, nn.Module, str]] = {}
    for root in (m for m in alive if id(m) not in children):
        variable = _variable(root)
        for path, module in root.named_modules():
            for leaf, parameter in module._parameters.items():
                if parameter is not None:
                    start = variable or type(root).__name__.lower()
                    name = ".".join(filter(None, (start, _path(root, path), leaf)))
                    found.setdefault(id(parameter), (variable, module, name))
    return found


def _path(root: nn.Module, path: str) -> str:
    """The path of a module without the wrappers on its way: what `state_dict` of the bare model calls it."""
    module: nn.Module | None = root
    parts = []
    for part in path.split("."):
        parts += [] if module is not None and part == _inside(module) else [part]
        module = module._modules.get(part) if module is not None else None
    return ".".join(parts)


def _inside(module: nn.Module) -> str:
    """Under what name a wrapper of torch's (`torch.compile`, DistributedDataParallel) holds the module that it stands
    around; "" for any other module."""
    place = type(module).__module__
    name = next((held for home, held in WRAPPERS.items() if place.startswith(home)), "")
    return name if name in module._modules else ""


def _variable(thing: object) -> str:
    """The name under which the script holds an object: a global, or a local of a running function."""
    for space in _spaces():
        for name, value in space.items():
            if value is thing and not name.startswith("_"):
                return name
            if (place := _held(value, thing)) and not name.startswith("_"):
                return f"{name}[{place}]"
            held = getattr(value, "__dict__", None)
            if name == "self" and isinstance(held, dict):
                inner = next((k for k, v in held.items() if v is thing), None)
                if inner:
                    return f"self.{inner}"
    return ""


def _held(space: object, thing: object) -> str:
    """The place of an object in a list, tuple or dict of few; "" where it is not there."""
    if type(space) not in (list, tuple, dict) or not 0 < len(space) <= FEW:  # type: ignore[arg-type]
        return ""
    pairs = space.items() if isinstance(space, dict) else enumerate(space)  # type: ignore[arg-type]
    return next((repr(key) for key, value in pairs if value is thing), "")


def _spaces() -> Iterator[dict[str, object]]:
    main = sys.modules.get("__main__")
    if main is not None:
        yield dict(vars(main))
    frame = sys._getframe(1)
    while frame is not None:
        if "torch" not in frame.f_code.co_filename and "unstuck" not in frame.f_code.co_filename:
            yield dict(frame.f_locals)
        frame = frame.f_back


def is_weight(tensor: Tensor) -> bool:
    """A tensor that training may change: a Parameter, or a leaf that asks for gradients."""
    try:
        return isinstance(tensor, nn.Parameter) or (tensor.requires_grad and tensor.is_leaf)
    except RuntimeError:  # a view of a weight that was made without gradients and written to: torch refuses to say
        return False
