"""A callback for Lightning: `Trainer(callbacks=[UnstuckCallback()])`."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import Callback  # pyright: ignore[reportMissingImports]

from unstuck.integrations.training import Training


class UnstuckCallback(Callback):
    """Records `fit` and reports at its end. Options as `unstuck.integrations.training.Training`."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.training = Training(**options)

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Watch from here on."""
        self.training.begin()

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """Look at a long run now and then."""
        self.training.step()

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Report."""
        self.training.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Report what was seen until then; the exception goes on."""
        self.training.end(exception)
