"""Where torch's functions have no finite value or no finite slope, and what stands there in an argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from unstuck.tape.program import Call

Kind = Literal["zero", "negative", "edge", "masked", "empty", "overflow", "unknown"]
DIVISIONS = {"div", "truediv", "itruediv", "divide", "true_divide", "rtruediv", "reciprocal", "remainder", "fmod"}
LOGARITHMS = {"log", "log2", "log10", "xlogy", "logit"}
ROOTS = {"sqrt", "rsqrt"}
POWERS = {"pow", "float_power", "rpow"}
LENGTHS = {"norm", "vector_norm", "cdist", "pairwise_distance", "std", "normalize", "dist", "frobenius_norm"}
ARCS = {"acos", "arccos", "asin", "arcsin", "atanh", "arctanh", "acosh"}
SHARES = {"softmax", "log_softmax", "scaled_dot_product_attention", "multi_head_attention_forward"}
AVERAGES = {"mean", "std", "var", "median", "nanmean", "logsumexp"}
GROWING = {"exp", "expm1", "exp2", "cosh", "sinh", "pow", "softplus", "rpow"}
"""Functions that leave the range of a float at arguments of ordinary size."""
ORDINARY = 1e4
"""Largest magnitude at which an overflow is still the function's own: float32 ends at exp(88.7), float64 at
exp(709.8); products of factors of this size stay within either."""


@dataclass(frozen=True)
class Singular:
    """What makes a call's value or slope NaN or infinite."""

    kind: Kind
    argument: int = 0
    """Its place among the tensors that the call is given."""
    entries: int = 0
    of: int = 0
    value: float = 0.0
    """What stands there, in the first such entry."""

    @property
    def own(self) -> bool:
        """Whether the function itself has no finite answer there, however ordinary everything before it is."""
        return self.kind in ("zero", "negative", "edge", "masked", "empty")

    def said(self, name: str) -> str:
        """What is the matter, as a clause."""
        where = f"in {self.entries} of {self.of} entries" if self.of > 1 else ""
        match self.kind:
            case "zero" if name in DIVISIONS:
                said = "its divisor is 0"
            case "zero" | "negative" | "edge":
                said = f"its input is {self.value:.3g}"
            case "masked":
                said = f"every element is masked out (-inf) {where.replace('entries', 'rows')}"
                where = ""
            case "empty":
                said = "it is given no element, or one where it needs two"
            case "overflow":
                said = f"its input is as large as {self.value:.3g}"
            case _:
                said = ""
        return " ".join(filter(None, (said, where)))


def singular(call: Call, given: list[Tensor], bad: list[Tensor | None], forward: bool) -> Singular:
    """What is singular about a call. `given`: its tensors; `bad`: per tensor, the entries at which the gradient is NaN
    or infinite (None where not known, and for what is not differentiated)."""
    name = call.name
    numbers = [t.double() for t in given]
    if name in SHARES and (found := _masked(numbers)) is not None:
        return found
    if forward and name in AVERAGES and any(t.numel() < 2 for t in numbers[:1]):
        return Singular("empty")
    if forward and call.op.classes and _ignored(call, numbers):
        return Singular("empty")
    for place, tensor in _candidates(name, call, numbers):
        found = _zero_or_edge(name, place, tensor, bad[place] if place < len(bad) else None, forward)
        if found is not None:
            return found
    largest = max((float(t.abs().nan_to_num(0.0, 0.0, 0.0).max()) for t in numbers if t.numel()), default=0.0)
    if name in GROWING and largest <= ORDINARY:
        return Singular("overflow", value=largest)
    return Singular("unknown", value=largest)


def _ignored(call: Call, given: list[Tensor]) -> bool:
    """Whether a loss over classes is given no target that counts: its mean is 0/0."""
    left = call.argument(4, "ignore_index", -100)
    return len(given) > 1 and not given[1].is_complex() and bool((given[1] == left).all())


def _candidates(name: str, call: Call, given: list[Tensor]) -> list[tuple[int, Tensor]]:
    """The tensors that have to stay away from 0, or within bounds."""
    if name in ("rtruediv", "reciprocal"):
        return list(enumerate(given[:1]))
    if name in DIVISIONS:
        first = call.args[0] if call.args else None
        alone = len(given) == 1 and not isinstance(first, int | float)
        return [] if alone else [(len(given) - 1, given[-1])]
    return list(enumerate(given))


def _zero_or_edge(name: str, place: int, tensor: Tensor, bad: Tensor | None, forward: bool) -> Singular | None:
    needs = DIVISIONS | LOGARITHMS | ROOTS | POWERS | LENGTHS
    if name in ARCS:
        return _found("edge", place, tensor, tensor.abs() >= 1 if name != "acosh" else tensor <= 1)
    if name not in needs or not tensor.numel():
        return None
    if name in LOGARITHMS | ROOTS | POWERS and (found := _found("negative", place, tensor, tensor < 0)) is not None:
        return found if forward or name != "pow" else None
    if bad is not None and bad.shape == tensor.shape and bad.any() and name not in LENGTHS:
        return _found("zero", place, tensor, bad & (tensor == 0))
    if name in LENGTHS:
        return Singular("zero", place, 1, 1, 0.0) if bad is not None and bool(bad.any()) else None
    return _found("zero", place, tensor, tensor == 0)


def _found(kind: Kind, place: int, tensor: Tensor, where: Tensor) -> Singular | None:
    count = int(where.sum())
    return Singular(kind, place, count, tensor.numel(), float(tensor[where][0])) if count else None


def _masked(given: list[Tensor]) -> Singular | None:
    """Rows that are -inf throughout; of a mask of truth values, rows without any that is true."""
    for place, tensor in enumerate(given):
        if not tensor.dim():
            continue
        rows = (tensor == -torch.inf).all(-1)
        if bool(rows.any()):
            return Singular("masked", place, int(rows.sum()), rows.numel(), -float("inf"))
    return None
