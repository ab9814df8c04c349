"""Every random number of a process from seeds that are shifted by a constant, without a change to the person's files.

A script that seeds its generators gives the same run again and again, so that runs of it show no variation. The calls
that set a seed are passed on with another one: the same shift gives two programs the same seeds, another shift other
ones. Generators that the script never seeds start from the shift itself.
"""

from __future__ import annotations

import importlib
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

LARGEST = 2**32
"""NumPy takes seeds below this."""
CALLS = ("torch.manual_seed", "torch.cuda.manual_seed", "torch.cuda.manual_seed_all", "random.seed",
         "numpy.random.seed", "numpy.random.default_rng")  # fmt: skip


class Seeds:
    """The shift, and how often each call set a seed that was shifted."""

    def __init__(self, by: int) -> None:
        self.by = by
        self.calls: Counter[str] = Counter()
        self._unseeded = 0
        self._inside = False

    def install(self) -> None:
        """Seed the global generators, then shift what the script passes to the calls that seed."""
        self._begin()
        for name in CALLS:
            home, _, attribute = name.rpartition(".")
            try:
                module = importlib.import_module(home)
                seeds = getattr(module, attribute)
            except (ImportError, AttributeError):
                continue
            setattr(module, attribute, self._shifted(name, seeds))
        self._generator()

    def of(self, seed: Any) -> Any:
        """The seed in the place of another; what is no whole number stays as it is."""
        if seed is None:
            self._unseeded += 1
            return (self.by + self._unseeded) % LARGEST
        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            return seed
        return (int(seed) + self.by) % LARGEST if self.by else seed

    def _begin(self) -> None:
        import torch

        torch.manual_seed(self.by)
        random.seed(self.by)
        try:
            import numpy as np
        except ImportError:
            return
        np.random.seed(self.by % LARGEST)

    def _shifted(self, name: str, seeds: Callable[..., Any]) -> Callable[..., Any]:
        def seed(*args: Any, **kwargs: Any) -> Any:
            if self._inside:  # torch.manual_seed hands its seed on to torch.cuda's
                return seeds(*args, **kwargs)
            self._inside = True
            try:
                return self._passed(name, seeds, args, kwargs)
            finally:
                self._inside = False

        return seed

    def _passed(self, name: str, seeds: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        key = next(iter(kwargs), None)
        given = args[0] if args else kwargs[key] if key else None
        self.calls[name] += given is not None
        if args or key is None:
            return seeds(self.of(given), *args[1:], **kwargs)
        return seeds(**{**kwargs, key: self.of(given)})

    def _generator(self) -> None:
        """`torch.Generator().manual_seed(0)` is a method of a class in C, which takes no other one."""
        import torch

        seeds = self

        class Generator(torch.Generator):
            def manual_seed(self, seed: int) -> torch.Generator:
                """As torch's, with the seed shifted."""
                seeds.calls["torch.Generator.manual_seed"] += 1
                return super().manual_seed(seeds.of(seed))

        Generator.__module__, Generator.__qualname__ = "torch", "Generator"
        torch.Generator = Generator  # type: ignore[misc]
