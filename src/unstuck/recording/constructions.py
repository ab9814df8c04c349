"""Where the person's code constructs what a step uses: the line that makes an optimizer, and that makes a layer.

Neither torch's public hooks nor ours are called in an optimizer's constructor, but it asks every tensor that it is
given whether it is a leaf, and the tracer sees that call. Layers are seen as they register their parameters.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from unstuck.recording.first_values import FirstValues
from unstuck.recording.tracer import Entry
from unstuck.tape.site import Site

LEAF = torch.Tensor.is_leaf.__get__  # type: ignore[attr-defined]
DEEP = 8
"""Frames between the question and the constructor that asks it, at most."""
Sites = Callable[[int], tuple[Site, ...]]


class Constructions:
    """The innermost line of the person's at each construction. `sites(depth)`: the person's frames; `entries()`:
    the calls so far."""

    def __init__(self, sites: Sites, failed: Callable[[Exception], None], entries: Callable[[], list[Entry]]) -> None:
        self._sites, self._failed = sites, failed
        self.values = FirstValues(entries)
        self._optimizers: weakref.WeakKeyDictionary[Any, Site] = weakref.WeakKeyDictionary()
        self._tensors: dict[int, tuple[weakref.ref[Tensor], Site]] = {}
        self._values: dict[int, tuple[weakref.ref[Tensor], Site]] = {}
        self._loaded: dict[int, tuple[weakref.ref[Tensor], Site]] = {}
        self._hooks: list[Any] = []

    def attach(self) -> None:
        """Begin to look at layers."""
        register = nn.modules.module.register_module_parameter_registration_hook
        self._hooks = self._hooks or [register(self._registered)]

    def detach(self) -> None:
        """Stop looking."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def of_optimizer(self, optimizer: Any) -> Site | None:
        """The line that constructed an optimizer; None where that was not seen."""
        return self._optimizers.get(optimizer)

    def of_weight(self, weight: Tensor) -> Site | None:
        """The line that constructed the layer whose weight it is; None where that was not seen."""
        return _held(self._tensors, weight)

    def of_values(self, weight: Tensor) -> Site | None:
        """The last line that gave it its first values; None where that was not seen."""
        return _held(self._values, weight)

    def of_load(self, weight: Tensor) -> Site | None:
        """The last line that loaded values into it; None where none did."""
        return _held(self._loaded, weight)

    def loaded(self, weights: list[Tensor], site: Site) -> None:
        """A line has given a module the stored values of weights."""
        self.values.forget(weights)
        self._loaded |= {id(weight): (weakref.ref(weight), site) for weight in weights}

    def wrote(self, weights: list[Tensor], func: Any = None, args: Any = (), kwargs: Any = None) -> None:
        """Values were written to weights before the first step, by a call if that is known."""
        try:
            self.values.wrote(weights, func, args, kwargs)
            sites = self._sites(1)[:1]
            self._values |= {id(weight): (weakref.ref(weight), site) for site in sites for weight in weights}
        except Exception as error:
            self._failed(error)

    def asked(self, func: Any, args: Any, kwargs: Any) -> Any:
        """The tracer's mark on `tensor.is_leaf`: note the optimizer in whose constructor it is asked."""
        try:
            self._asked(sys._getframe(2))
        except Exception as error:
            self._failed(error)
        return func(*args, **kwargs)

    def _asked(self, frame: FrameType | None) -> None:
        for _ in range(DEEP):
            if frame is None:
                return
            if frame.f_code.co_name == "add_param_group":
                made = frame.f_locals.get("self")
                if isinstance(made, torch.optim.Optimizer) and made not in self._optimizers:
                    sites = self._sites(1)
                    self._optimizers |= {made: sites[0]} if sites else {}
                return
            frame = frame.f_back

    def _registered(self, module: nn.Module, name: str, weight: Any) -> None:
        del module, name
        try:
            if weight is not None and self.of_weight(weight) is None and (sites := self._sites(1)):
                self._tensors[id(weight)] = (weakref.ref(weight), sites[0])
        except Exception as error:
            self._failed(error)


def _held(table: dict[int, tuple[weakref.ref[Tensor], Site]], weight: Tensor) -> Site | None:
    reference, site = table.get(id(weight), (None, None))
    return site if reference is not None and reference() is weight else None
