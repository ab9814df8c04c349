"""Workers as actors of Ray, on one machine or a cluster. Needs ray (the extra `ray`).

Workers keep rows, not weights: one that dies is replaced by another, which reads its rows again, and the call is
repeated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from unstuck.tabular.fit.machines.part import Part
from unstuck.tabular.fit.refusal import CannotFit
from unstuck.tabular.fit.statistics import Chunks

TRIES = 5
"""How often a worker is replaced for one call."""


def _ray() -> Any:
    return import_module("ray")


@contextmanager
def cluster(address: str) -> Iterator[int]:
    """Connect to a cluster: `auto`, `HOST:PORT` or `ray://HOST:PORT`; `local` or `local:N` starts one on this machine,
    with N processors. Yields the number of workers: one per processor. Raises CannotFit if there is none."""
    ray = _ray()
    name, _, number = address.partition(":")
    begun = not ray.is_initialized()
    if begun:
        where: dict[str, Any] = {"address": address}
        if name == "local":
            where = {"address": "local", "num_cpus": int(number or 2), "include_dashboard": False}
        try:
            ray.init(log_to_driver=False, configure_logging=False, **where)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise CannotFit(f"no Ray cluster at {address}: {str(error).splitlines()[0]}") from None
    try:
        yield max(1, int(ray.cluster_resources().get("CPU", 1)))
    finally:
        if begun:
            ray.shutdown()


class Remote(Part):
    """A worker in a process of its own, which finds relative paths as the driver does."""

    def __init__(self, folder: str, chunks: Chunks, number: int, of: int) -> None:
        with suppress(OSError):
            os.chdir(folder)
        super().__init__(chunks, number, of)


class Actors:
    """So many workers of the connected cluster, each on a processor."""

    def __init__(self, chunks: Chunks, workers: int) -> None:
        ray = _ray()
        self._ray, self.workers = ray, workers
        self._kind = ray.remote(Remote).options(num_cpus=1, max_restarts=0)
        self._chunks = ray.put(chunks)
        self._kept: dict[str, tuple[Any, ...]] = {}
        self.parts = [self._begun(number) for number in range(workers)]

    def _begun(self, number: int) -> Any:
        return self._kind.remote(str(Path.cwd()), self._chunks, number, self.workers)

    def keep(self, method: str, *arguments: Any) -> None:
        """Call a method of every worker that changes its state; a worker that replaces another one repeats it."""
        self.each(method, *arguments)
        self._kept[method] = arguments

    def each(self, method: str, *arguments: Any) -> list[Any]:
        """The results of a method of every worker, in order."""
        shared = [self._ray.put(one) for one in arguments]
        calls = [getattr(part, method).remote(*shared) for part in self.parts]
        return [self._got(number, call, method, shared) for number, call in enumerate(calls)]

    def _got(self, number: int, call: Any, method: str, arguments: list[Any]) -> Any:
        for _ in range(TRIES):
            try:
                return self._ray.get(call)
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except self._ray.exceptions.RayActorError:
                self.parts[number] = part = self._begun(number)
                for name, kept in self._kept.items():
                    getattr(part, name).remote(*kept)  # an actor runs its calls in order
                call = getattr(part, method).remote(*arguments)
        raise CannotFit(f"worker {number + 1} of {self.workers} died {TRIES} times in one step")

    def close(self) -> None:
        """End the workers."""
        for part in self.parts:
            self._ray.kill(part)


class Tasks:
    """Runs the tasks of a fit in memory on the connected cluster; Ray repeats those whose process dies."""

    def each(self, tasks: Sequence[Callable[[], Any]]) -> list[Any]:
        """The results of some tasks."""
        ray = _ray()
        remote = ray.remote(_called).options(num_cpus=1, max_retries=TRIES)
        try:
            return ray.get([remote.remote(task) for task in tasks])
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None


def _called(task: Callable[[], Any]) -> Any:
    return task()
