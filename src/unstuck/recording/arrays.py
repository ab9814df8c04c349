"""Arrays and numbers of numpy among the arguments of a torch call, as tensors and numbers of Python.

`logits[np.where(known)]` is an index by tensors as far as a later run is concerned.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

KINDS = {"bool", "int16", "int32", "int64", "float32", "float64"}
"""Element types that mean the same in an index or in arithmetic."""


def plain(arguments: Any) -> Any:
    """The arguments without numpy's types; the same object where there are none."""
    numpy = sys.modules.get("numpy")
    return _plain(arguments, numpy) if numpy is not None and _holds(arguments, numpy) else arguments


def _holds(tree: Any, numpy: Any) -> bool:
    if isinstance(tree, dict):
        return any(_holds(branch, numpy) for branch in tree.values())
    if type(tree) in (tuple, list):
        return any(_holds(branch, numpy) for branch in tree)
    return isinstance(tree, numpy.ndarray | numpy.generic)


def _plain(tree: Any, numpy: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _plain(branch, numpy) for key, branch in tree.items()}
    if type(tree) in (tuple, list):
        return type(tree)(_plain(branch, numpy) for branch in tree)
    known = isinstance(tree, numpy.ndarray | numpy.generic) and str(tree.dtype) in KINDS
    if not known:
        return tree
    return tree.item() if isinstance(tree, numpy.generic) else torch.from_numpy(numpy.array(tree))
