"""By what an estimator's networks are trained: by numpy, or, where they are modules of the person's own, by torch.

Both ways have the same three verbs: `learn` trains to the end, `begin` measures the columns and draws the first
weights, `follow` makes one pass over some rows.
"""

from __future__ import annotations

from typing import Any

from unstuck.tabular.fit import model, online


class ByNumpy:
    """Dense networks of our own."""

    learn = staticmethod(model.learn)
    begin = staticmethod(online.begin)
    follow = staticmethod(online.follow)


def trainer(estimator: Any) -> Any:
    """What trains an estimator with the parameters `module` and `device`."""
    if estimator.module is None:
        if estimator.device not in (None, "cpu"):
            raise ValueError(f"device={estimator.device!r} is for a module: without one, numpy trains on the CPU")
        return ByNumpy()
    if estimator.hidden is not None or estimator.activation is not None:
        raise ValueError("hidden and activation describe a network of unstuck's own: leave them out beside a module")
    from unstuck.tabular.fit.module import ByTorch  # where torch is needed, and nowhere else

    return ByTorch(estimator.module, estimator.device or "cpu")
