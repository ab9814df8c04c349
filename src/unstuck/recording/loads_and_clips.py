"""Calls of torch that change weights or gradients between steps: weights that are loaded, gradients that are clipped.

Both are Python functions that the tracer does not see. They are replaced for as long as the recording lasts, do what
they did, and are told of afterwards.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unstuck.tape.model import Clip, Load
from unstuck.tape.site import Site

MOST = 40
"""Loads that are kept, and clips from the first on."""
NAMES = 400
"""Names of missing and of unexpected tensors that are kept of a load."""
CLIPS = ("clip_grad_norm_", "clip_grad_value_")
Sites = Callable[[int], tuple[Site, ...]]


class LoadsAndClips:
    """Notes both. `passes`: how many passes were recorded so far; `since_backward`: a step came after the last one;
    `met`: whether the recording knows a weight already; `loaded`: is told of weights that were given values."""

    def __init__(
        self, sites: Sites, passes: Callable[[], int], since_backward: Callable[[], bool],
        met: Callable[[Tensor], bool], loaded: Callable[[list[Tensor], Site], None],
        failed: Callable[[Exception], None],
    ) -> None:  # fmt: skip
        self._sites, self._passes, self._since_backward, self._met = sites, passes, since_backward, met
        self._told, self._failed = loaded, failed
        self.loads: list[Load] = []
        self.clips: list[Clip] = []
        self._originals: list[tuple[Any, str, Any]] = []
        self._inside = False

    def attach(self) -> None:
        """Begin to look."""
        if self._originals:
            return
        self._replace(nn.Module, "load_state_dict", self._loading)
        for name in CLIPS:
            for home in (torch.nn.utils, torch.nn.utils.clip_grad):
                self._replace(home, name, functools.partial(self._clipping, name))

    def detach(self) -> None:
        """Put back what was there."""
        for home, name, original in reversed(self._originals):
            setattr(home, name, original)
        self._originals = []

    def _replace(self, home: Any, name: str, around: Callable[[Any], Any]) -> None:
        original = getattr(home, name)
        self._originals.append((home, name, original))
        setattr(home, name, functools.wraps(original)(around(original)))

    # -- weights that are loaded -------------------------------------------------------------------------------------

    def _loading(self, original: Any) -> Any:
        def load_state_dict(module: nn.Module, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
            known = None if len(self.loads) >= MOST else self._before(module, state_dict)
            result = original(module, state_dict, *args, **kwargs)
            if known is not None:
                self._guarded(self._loaded, known, state_dict, result)
            return result

        return load_state_dict

    def _before(self, module: nn.Module, given: Any) -> tuple[dict[str, Tensor], int, bool] | None:
        """The module's own tensors, how many of the given ones are these themselves, and whether none was used yet."""
        try:
            own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            alike = sum(_place(t) == _place(own[n]) for n, t in given.items() if n in own and t.numel())
            return own, alike, not any(self._met(t) for t in own.values() if isinstance(t, nn.Parameter))
        except Exception as error:
            return self._failed(error)

    def _loaded(self, known: tuple[dict[str, Tensor], int, bool], given: Any, result: Any) -> None:
        own, alike, fresh = known
        missing = tuple((n, tuple(own[n].shape)) for n in result.missing_keys if n in own)
        unexpected = tuple((n, tuple(getattr(given.get(n), "shape", ()))) for n in result.unexpected_keys)
        sites = self._sites(1)
        for site in sites[:1]:
            self._told([own[name] for name in given if isinstance(own.get(name), nn.Parameter)], site)
        self.loads.append(
            Load(
                self._passes(), sites[0] if sites else None, len(own), len(given), alike, fresh, missing[:NAMES],
                unexpected[:NAMES],
            )
        )  # fmt: skip

    # -- gradients that are clipped ----------------------------------------------------------------------------------

    def _clipping(self, name: str, original: Any) -> Any:
        def clip(*args: Any, **kwargs: Any) -> Any:
            if torch.compiler.is_compiling():  # it is to trace the function itself
                return original(*args, **kwargs)
            outer, self._inside = self._inside, True
            try:
                result = original(*args, **kwargs)
            finally:
                self._inside = outer
            if not outer and len(self.clips) < MOST:
                self._guarded(self._clipped, name, args, kwargs, result)
            return result

        return clip

    def _clipped(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        bound = args[1] if len(args) > 1 else kwargs.get("max_norm", kwargs.get("clip_value"))
        sites = self._sites(1)
        norm = float(result) if isinstance(result, Tensor) else None
        self.clips.append(
            Clip(self._passes(), sites[0] if sites else None, name, float(bound), norm, self._since_backward())
        )  # fmt: skip

    def _guarded(self, call: Callable[..., Any], *args: Any) -> None:
        try:
            call(*args)
        except Exception as error:
            self._failed(error)


def _place(tensor: Tensor) -> tuple[int, tuple[int, ...]]:
    return tensor.data_ptr(), tuple(tensor.shape)
