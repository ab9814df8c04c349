"""Choose the backend of an estimator: numpy, or torch for a user's module.

Both have the same methods: `learn` trains to the end, `begin` measures the columns and draws the initial weights,
`follow` makes one pass over some rows.
"""

from __future__ import annotations

from typing import Any

from unstuck.tabular.fit import model, online


class ByNumpy:
    """Dense networks in numpy."""

    learn = staticmethod(model.learn)
    begin = staticmethod(online.begin)
    follow = staticmethod(online.follow)


def trainer(estimator: Any) -> Any:
    """The backend for an estimator's `module` and `device`."""
    if estimator.module is None:
        if estimator.device not in (None, "cpu"):
            raise ValueError(f"device={estimator.device!r} needs a module: without one, numpy trains on the CPU")
        return ByNumpy()
    if estimator.hidden is not None or estimator.activation is not None:
        raise ValueError("hidden and activation cannot be combined with a module")
    from unstuck.tabular.fit.module import ByTorch  # the only import of torch

    return ByTorch(estimator.module, estimator.device or "cpu")
