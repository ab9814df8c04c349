"""Optional packages: what `pip install unstuck` leaves out, and the one line that says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

EXTRA = "fit"
"""The extra of pyproject.toml that brings all of them."""
PACKAGES = {"pyarrow": "pyarrow", "PIL": "pillow", "sklearn": "scikit-learn", "matplotlib": "matplotlib"}
"""The top-level module of every optional package, and the name it is installed by."""
FORMATS = {"python_calamine": "python-calamine", "duckdb": "duckdb", "pyreadstat": "pyreadstat"}
"""Likewise, of the extra `tables`: spreadsheets, DuckDB, and Stata, SAS and SPSS."""
EXPORTS = {"onnx": "onnx", "onnxscript": "onnxscript"}
"""Likewise, of the extra `onnx`."""
EXTRAS = {EXTRA: PACKAGES, "tables": FORMATS, "onnx": EXPORTS, "ray": {"ray": "ray"}}


class MissingExtra(ImportError):
    """An optional package is not installed; the message is one line with the command that installs it."""


@contextmanager
def needed_by(what: str) -> Iterator[None]:
    """Raise MissingExtra if an import inside fails because an optional package is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        extra = next((extra for extra, packages in EXTRAS.items() if module in packages), None)
        if extra is None:
            raise
        line = f"{what} needs {EXTRAS[extra][module]}: pip install 'unstuck[{extra}]'"
        raise MissingExtra(line, name=module) from None


def require(module: str) -> None:
    """Raise ModuleNotFoundError if an optional package is missing, before work that ends with its use."""
    if find_spec(module) is None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)
