"""Networks side by side on the processor's cores: each on one core, instead of every product split over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers(Protocol):
    """Does a job for every item, several at a time where there are several cores; results in the items' order."""

    def __call__(self, job: Callable[[Item], Result], items: Iterable[Item], /) -> list[Result]:
        """The results."""
        ...


def alone(job: Callable[[Item], Result], items: Iterable[Item], /) -> list[Result]:
    """One after the other."""
    return [job(item) for item in items]


@contextmanager
def workers() -> Iterator[Workers]:
    """As many workers as torch was allowed threads, each with one thread: torch lets go of Python while it multiplies.

    A product of this size split over the cores waits for the slower one at each step; on a busy machine most of the
    time.
    """
    workers = torch.get_num_threads()
    if workers == 1:
        yield alone
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield lambda job, items: list(pool.map(job, items))
    finally:
        torch.set_num_threads(workers)
