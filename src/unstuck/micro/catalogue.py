"""What a micro-experiment is: a module with a page, a question and two small scripts.

A module of `unstuck.micro` that has an `ask` is one; its name with hyphens is the experiment's. It holds

* a docstring: the page, with the headings `## What it asks`, `## How`, `## What it costs`, `## What is healthy`;
* `COST`: about how many recorded steps it takes as long as, so that cheap ones come first;
* `KEEPS` (0 where it is not there): the share of the time of all that cheaper ones leave to it;
* `FAILING` (False where it is not there): it is made only for runs that do not learn;
* `ask(recorded)`: makes it and returns its reading; raises NotApplicable or CannotReplay with a reason. The reading is
  a frozen dataclass that rules can ask for; its `why` is the entry of the log, `statements` what is told where no rule
  names it, `numbers` what was measured;
* `FIRES` and `QUIET`: a small script that it says something of, and its healthy twin.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Protocol

from unstuck.diagnosis.model import Statement
from unstuck.micro.step import Recorded

HEADINGS = ("## What it asks", "## How", "## What it costs", "## What is healthy")


class Reading(Protocol):
    """What every micro-experiment's reading can say."""

    @property
    def why(self) -> str:
        """One clause for the log: what it showed."""
        ...

    @property
    def statements(self) -> tuple[Statement, ...]:
        """What is to be told of it where no rule names it."""
        ...

    @property
    def numbers(self) -> dict[str, float]:
        """What was measured, by name."""
        ...


@dataclass(frozen=True, slots=True)
class MicroExperiment:
    """One micro-experiment of the catalogue."""

    name: str
    page: str
    ask: Callable[[Recorded], Reading]
    reading: type
    cost: int
    keeps: float
    failing: bool
    fires: str
    quiet: str


def of_module(module: ModuleType) -> MicroExperiment:
    """The micro-experiment that a module holds; raises AttributeError where it is not one."""
    name = module.__name__.rpartition(".")[2].replace("_", "-")
    reading = typing.get_type_hints(module.ask)["return"]
    page, keeps = inspect.cleandoc(module.__doc__ or ""), getattr(module, "KEEPS", 0.0)
    failing = getattr(module, "FAILING", False)
    return MicroExperiment(name, page, module.ask, reading, module.COST, keeps, failing, module.FIRES, module.QUIET)


@cache
def micro_experiments() -> dict[str, MicroExperiment]:
    """Every micro-experiment by its name, cheap ones first."""
    package = importlib.import_module("unstuck.micro")
    modules = [importlib.import_module(f"unstuck.micro.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    found = [of_module(module) for module in modules if hasattr(module, "ask")]
    return {m.name: m for m in sorted(found, key=lambda m: (m.cost, m.name))}
