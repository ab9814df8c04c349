"""The diagnosis in Weights & Biases: `UnstuckCallback(report=to_wandb())`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from unstuck.integrations.tags import tags
from unstuck.integrations.training import Told
from unstuck.integrations.watching import Report


def to_wandb(run: Any = None) -> Told:
    """A receiver of reports that logs them to a W&B run: by default the active one, at that moment.

    The page as a panel `unstuck/page`; `unstuck/state`, `unstuck/causes` and `unstuck/suspects` in the summary. An
    offline run stays offline. Raises RuntimeError where no run is active.
    """

    def write(report: Report) -> None:
        wandb: Any = import_module("wandb")  # a type checker takes `import wandb` for this file
        chosen = wandb.run if run is None else run
        if chosen is None:
            raise RuntimeError("no W&B run is active: call wandb.init() first, and wandb.finish() after the report")
        chosen.log({"unstuck/page": wandb.Html(report.page)})
        for name, value in tags(report).items():
            chosen.summary[f"unstuck/{name}"] = value

    return write
