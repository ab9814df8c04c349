"""A callback for Transformers' Trainer: `Trainer(..., callbacks=[UnstuckCallback()])`."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback  # pyright: ignore[reportMissingImports]

from unstuck.integrations.training import Training


class UnstuckCallback(TrainerCallback):
    """Records `train` and reports at its end. Options as `unstuck.integrations.training.Training`."""

    def __init__(self, **options: Any) -> None:
        self.training = Training(**options)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Watch from here on."""
        self.training.begin()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look at a long run now and then."""
        self.training.step()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report."""
        self.training.end()
