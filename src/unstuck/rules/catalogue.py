"""What a rule is: a module with a page, a check and two small scripts.

A rule's module is named after its fault (`rules/input_offset.py` is `input-offset`) and holds

* a docstring: the page, with the headings `## Why it hurts`, `## How it is seen`, `## What to do`;
* `STAGE`: where the fault stands in the causal order (`unstuck.diagnosis.stages.Stage`); `NEEDS_ROOM`, `NEVER_MEANT`,
  `LEAVES_NOTHING`: see `Rule`; `verify(before, after)`: what the patched run's tape must show, where no replay can;
* `check(...)`: yields findings; its annotations name the readings it needs (types of `unstuck.signals`);
* `FIRES` and `QUIET`: a small script that has the fault and its healthy twin.

A reading that cannot be taken raises `NotApplicable`, and so may the check; the reason reaches the report.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from unstuck.diagnosis.model import Finding, NotApplicable  # noqa: F401 (rules may take it from here)
from unstuck.diagnosis.stages import Stage
from unstuck.tape.model import Tape

GROUP = "unstuck.rules"
"""Entry points of this group add rules from other distributions."""

ATTRIBUTES = ("STAGE", "NEEDS_ROOM", "NEVER_MEANT", "LEAVES_NOTHING")
"""What a rule's module may say of the fault, besides its page, its check and its scripts."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One illness of the catalogue."""

    fault: str
    page: str
    check: Callable[..., Iterator[Finding]]
    fires: str
    quiet: str
    stage: Stage = Stage.MECHANISM
    needs_room: bool = False
    """Asked only where the run leaves room for a remedy to show: it explains a run that does not learn."""
    never_meant: bool = False
    """Nobody writes this on purpose: a suspect even where it is too early to tell what it does."""
    leaves_nothing: bool = False
    """Where its effect is proven, nothing downstream of it could help."""
    verify: Callable[[Tape, Tape], str | None] | None = None
    """What the patched run shows that the first one did not, for faults that leave the training as it is."""

    @property
    def title(self) -> str:
        """The page's first line, without its full stop."""
        return self.page.strip().splitlines()[0].rstrip(".")


def of_module(module: ModuleType) -> Rule:
    """The rule that a module holds; raises AttributeError where it is not one."""
    fault = module.__name__.rpartition(".")[2].replace("_", "-")
    page = inspect.cleandoc(module.__doc__ or "")
    own = {name.lower(): getattr(module, name) for name in ATTRIBUTES if hasattr(module, name)}
    verify = getattr(module, "verify", None)
    return Rule(fault, page, module.check, module.FIRES, module.QUIET, verify=verify, **own)


def catalogue() -> dict[str, Rule]:
    """Every rule by the name of its fault: the modules of `unstuck.rules`, then those of other distributions."""
    package = importlib.import_module("unstuck.rules")
    names = [m.name for m in pkgutil.iter_modules(package.__path__) if _is_rule(m.name)]
    rules = [of_module(importlib.import_module(f"unstuck.rules.{name}")) for name in names]
    for point in entry_points(group=GROUP):
        with contextlib.suppress(Exception):  # a rule of another distribution that fails must not cost the person ours
            rules.append(of_module(point.load()))
    return {rule.fault: rule for rule in rules}


def _is_rule(module: str) -> bool:
    return not module.startswith("_") and module != __name__.rpartition(".")[2]


def pages() -> dict[str, str]:
    """Every rule's page by the name of its fault, read from the sources: nothing is imported, torch least of all."""
    folder = Path(__file__).parent
    sources = {p.stem: p for p in sorted(folder.glob("*.py")) if _is_rule(p.stem)}
    for point in entry_points(group=GROUP):
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(point.module)
            if spec is not None and spec.origin:
                sources[point.module.rpartition(".")[2]] = Path(spec.origin)
    return {name.replace("_", "-"): _page(path) for name, path in sources.items()}


def _page(path: Path) -> str:
    try:
        return ast.get_docstring(ast.parse(path.read_bytes())) or ""
    except (OSError, SyntaxError, ValueError):
        return ""
