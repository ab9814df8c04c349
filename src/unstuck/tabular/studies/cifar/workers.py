"""Train networks in parallel, each on one core, instead of splitting every product over all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers(Protocol):
    """Applies a function to every item, in parallel on several cores; results in the items' order."""

    def __call__(self, job: Callable[[Item], Result], items: Iterable[Item], /) -> list[Result]:
        """The results."""
        ...


def alone(job: Callable[[Item], Result], items: Iterable[Item], /) -> list[Result]:
    """Apply it one by one."""
    return [job(item) for item in items]


@contextmanager
def workers() -> Iterator[Workers]:
    """As many workers as torch's threads, with one thread each: torch releases the GIL in its operators.

    A product of this size split over the cores waits for the slowest one at each step, on a busy machine most of the
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
