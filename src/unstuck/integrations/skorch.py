"""A callback for skorch: `NeuralNetClassifier(..., callbacks=[UnstuckCallback()])`."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import Callback  # pyright: ignore[reportMissingImports]

from unstuck.integrations.training import Training


class UnstuckCallback(Callback):
    """Records `fit` and reports at its end. Options as `unstuck.integrations.training.Training`."""

    def __init__(self, report: Any = True, folder: Any = None, effort: str = "normal", look: bool = True) -> None:
        self.report, self.folder, self.effort, self.look = report, folder, effort, look

    def initialize(self) -> UnstuckCallback:
        """As skorch asks of callbacks, whose parameters stay as they were given."""
        options: dict[str, Any] = {"folder": self.folder, "effort": self.effort, "look": self.look}
        if self.report is not True:
            options["report"] = self.report
        self.training_ = Training(**options)
        return self

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Watch from here on."""
        self.training_.begin()

    def on_batch_end(self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any) -> None:
        """Look at a long run now and then."""
        if training:
            self.training_.step()

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Report."""
        self.training_.end()
