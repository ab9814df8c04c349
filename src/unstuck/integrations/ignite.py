"""A handler for Ignite: `UnstuckHandler().attach(trainer)`."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events  # pyright: ignore[reportMissingImports]

from unstuck.integrations.training import Training


class UnstuckHandler:
    """Records a trainer's run and reports at its end. Options as `unstuck.integrations.training.Training`."""

    def __init__(self, **options: Any) -> None:
        self.training = Training(**options)

    def attach(self, engine: Engine) -> UnstuckHandler:
        """Watch an engine that trains; returns the handler."""
        engine.add_event_handler(Events.STARTED, self.training.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.training.step)
        engine.add_event_handler(Events.COMPLETED, self.training.end)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._failed)
        return self

    def _failed(self, engine: Engine, error: BaseException) -> None:
        self.training.end(error)
        if not _others(engine, self._failed):  # Ignite raises it only where nobody handles it
            raise error


def _others(engine: Engine, own: Any) -> bool:
    handlers = engine._event_handlers[Events.EXCEPTION_RAISED]
    return any(handler is not own and handler != own for handler, *_ in handlers)
