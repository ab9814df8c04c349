"""Find out why a PyTorch network does not learn, prove the fix on the recorded batches and write the patch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unstuck.integrations.watching import watch
    from unstuck.tabular.fit.estimators import Classifier, Regressor
    from unstuck.tabular.scaling import NotEquivalent, Recipe, equivalent, rescaled
    from unstuck.trial.entry import try_patch

__version__ = "0.2.0"
"""The only place of the version: pyproject.toml reads it from here."""

_HOMES = {
    "Classifier": "unstuck.tabular.fit.estimators",
    "Regressor": "unstuck.tabular.fit.estimators",
    "NotEquivalent": "unstuck.tabular.scaling",
    "Recipe": "unstuck.tabular.scaling",
    "equivalent": "unstuck.tabular.scaling",
    "rescaled": "unstuck.tabular.scaling",
    "try_patch": "unstuck.trial.entry",
    "watch": "unstuck.integrations.watching",
}
"""The module of each public name. It is imported on first use: `import unstuck` loads neither numpy nor torch."""

__all__ = [
    "Classifier", "NotEquivalent", "Recipe", "Regressor", "__version__", "equivalent", "rescaled", "try_patch", "watch",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from unstuck.tabular.extras import needed_by

    with needed_by(f"unstuck.{name}"):
        return getattr(import_module(_HOMES[name]), name)


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext unstuck`: registers the cell magic `%%unstuck`."""
    import_module("unstuck.integrations.notebook").load(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
