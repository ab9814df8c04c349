"""Recorded matrices that are nearly all zeros, as a graph's edges are: their products need the other numbers only.

A tape holds dense tensors. Where a step runs by plain autograd, such a matrix enters its products as a sparse one.
"""

from __future__ import annotations

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from unstuck.tape.program import Outside, Program

MANY, FILLED = 2**18, 0.02
"""Numbers of a matrix from which on its zeros are looked for, and the share of others up to which they are left out."""
PRODUCTS = ("torch.spmm", "torch.sparse.mm", "torch.mm", "torch.matmul", "torch.Tensor.mm", "torch.Tensor.__matmul__")
"""Calls that take a sparse matrix as their first argument."""
_KNOWN: WeakIdKeyDictionary = WeakIdKeyDictionary()


def without_zeros(matrix: Tensor) -> Tensor | None:
    """The matrix as a sparse one, where it is large and nearly all zeros; else None."""
    if not _large(matrix):
        return None
    if matrix not in _KNOWN:
        thin = int(matrix.count_nonzero()) <= FILLED * matrix.numel()
        _KNOWN[matrix] = matrix.detach().to_sparse().coalesce() if thin else None
    return _KNOWN[matrix]


def _large(matrix: Tensor) -> bool:
    return matrix.dim() == 2 and matrix.numel() >= MANY and matrix.is_floating_point() and matrix.device.type == "cpu"


def multiplied(program: Program) -> frozenset[int]:
    """Slots that nothing reads but products with a matrix (not in reduced precision), as their first argument."""
    products = (c for c in program.calls if c.function in PRODUCTS and len(c.shape) == 2 and not c.cast and c.args)
    first = [c.args[0].slot for c in products if isinstance(c.args[0], Outside)]
    read = [r.slot for c in program.calls for r in c.refs() if isinstance(r, Outside)]
    return frozenset(slot for slot in first if first.count(slot) == read.count(slot))


def entering(program: Program, outside: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What enters a step that runs by plain autograd."""
    if program.differentiates or not any(map(_large, outside)):
        return outside
    found = {slot: without_zeros(outside[slot]) for slot in multiplied(program) if slot < len(outside)}
    return tuple(t if (less := found.get(i)) is None else less for i, t in enumerate(outside))
