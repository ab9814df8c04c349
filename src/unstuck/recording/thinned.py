"""A series of any length in bounded memory, evenly spread over it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Thinned(Generic[Item]):
    """At most `limit` items of a series of any length, evenly spread over it: every one, then every second, ..."""

    def __init__(self, limit: int, every: int = 1) -> None:
        self.limit, self.every, self.seen = limit, every, 0
        self.due = 0
        """The place of the next item that is kept, or of the first that can be had after it."""
        self._kept: list[tuple[int, Item]] = []

    def __iter__(self) -> Iterator[tuple[int, Item]]:
        """The items kept, each with its place in the series."""
        yield from self._kept

    def wants(self) -> bool:
        """Whether the next item will be kept."""
        return self.seen >= self.due

    def add(self, item: Item) -> None:
        """The next item of the series."""
        if self.wants():
            self._kept.append((self.seen, item))
            self.due = self.seen + self.every
        self.seen += 1
        if len(self._kept) > self.limit:
            self.thin()

    def skip(self, count: int = 1) -> None:
        """The next items are not wanted, or not seen."""
        self.seen += count

    def miss(self) -> None:
        """The next item was looked at, and is not to be had."""
        if self.wants():
            self.due = self.seen + self.every
        self.seen += 1

    def thin(self) -> None:
        """Keep every second item only, from now on too."""
        self.every *= 2
        self._kept = self._kept[::2]
        self.due = self._kept[-1][0] + self.every if self._kept else self.seen
