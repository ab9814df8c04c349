"""A callback for fastai: `learn.fit(5, cbs=UnstuckCallback())`."""

from __future__ import annotations

from typing import Any

from fastai.callback.core import Callback  # pyright: ignore[reportMissingImports]

from unstuck.integrations.training import Training


class UnstuckCallback(Callback):
    """Records `fit` and reports at its end. Options as `unstuck.integrations.training.Training`."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.training_run = Training(**options)

    def before_fit(self) -> None:
        """Watch from here on."""
        self.training_run.begin()

    def after_batch(self) -> None:
        """Look at a long run now and then."""
        if self.training:
            self.training_run.step()

    def after_fit(self) -> None:
        """Report."""
        self.training_run.end()
