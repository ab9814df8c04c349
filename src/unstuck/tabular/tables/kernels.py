"""The functions of `pyarrow.compute`, which is imported when the first of them is called.

That import alone takes as long as reading a table of some thousand rows does, and numbers need none of it.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    from pyarrow import compute

    return getattr(compute, name)
