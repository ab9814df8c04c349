"""Workers in this process: the reference that workers elsewhere are compared with."""

from __future__ import annotations

from typing import Any

from unstuck.tabular.fit.machines.part import Part
from unstuck.tabular.fit.statistics import Chunks


class Local:
    """So many workers, one after the other."""

    def __init__(self, chunks: Chunks, workers: int = 1) -> None:
        self.parts = [Part(chunks, number, workers) for number in range(workers)]

    def keep(self, method: str, *arguments: Any) -> None:
        """Call a method of every worker that changes its state."""
        self.each(method, *arguments)

    def each(self, method: str, *arguments: Any) -> list[Any]:
        """The results of a method of every worker, in order."""
        return [getattr(part, method)(*arguments) for part in self.parts]

    def close(self) -> None:
        """End the workers."""
