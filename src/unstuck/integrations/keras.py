"""A callback for Keras 3 on torch: `model.fit(..., callbacks=[UnstuckCallback()])`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from unstuck.integrations.training import Training

keras: Any = import_module("keras")  # a type checker takes `import keras` for this file


class UnstuckCallback(keras.callbacks.Callback):
    """Records `fit` and reports at its end. Options as `unstuck.integrations.training.Training`.

    Raises RuntimeError where Keras does not run on torch (`KERAS_BACKEND=torch`).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        backend = keras.backend.backend()
        if backend != "torch":
            raise RuntimeError(f"Keras runs on {backend}; unstuck records torch: set KERAS_BACKEND=torch")
        self.training = Training(**options)

    def on_train_begin(self, logs: Any = None) -> None:
        """Watch from here on."""
        self.training.begin()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look at a long run now and then."""
        self.training.step()

    def on_train_end(self, logs: Any = None) -> None:
        """Report."""
        self.training.end()
