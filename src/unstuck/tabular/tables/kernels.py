"""The functions of `pyarrow.compute`, imported on first use.

The import takes as long as reading a table of some thousand rows, and numeric tables do not need it.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    from pyarrow import compute

    return getattr(compute, name)
