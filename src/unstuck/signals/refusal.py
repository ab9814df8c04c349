"""The exception that ended the run inside a loss of torch: its message, its line, and the arguments of the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unstuck.diagnosis.model import Site
from unstuck.tape.model import Tape
from unstuck.tape.ops import LOSSES


@dataclass(frozen=True)
class Given:
    """A tensor argument of a loss."""

    shape: tuple[int, ...]
    dtype: str
    smallest: float | None
    largest: float | None
    whole: bool

    @property
    def floating(self) -> bool:
        """Whether it holds floating-point numbers."""
        return "float" in self.dtype


@dataclass(frozen=True)
class Refusal:
    """A loss that raised an error. `site` is the line in the script; the tensors are of that one batch."""

    loss: str
    message: str
    site: Site
    input: Given
    target: Given


def refusal(tape: Tape) -> Refusal | None:
    """The loss that ended the run; None if the run did not end inside a loss."""
    error = tape.error or {}
    held = error.get("refused") or {}
    tensors = held.get("tensors") or {}
    sites = error.get("sites") or []
    if held.get("function") not in LOSSES or not {"input", "target"} <= tensors.keys() or not sites:
        return None
    given = (_given(tensors[name]) for name in ("input", "target"))
    return Refusal(held["function"], str(error.get("message", "")), Site(**sites[0]), *given)


def _given(plain: dict[str, Any]) -> Given:
    shape = tuple(plain.get("shape", ()))
    return Given(shape, plain.get("dtype", ""), plain.get("smallest"), plain.get("largest"), bool(plain.get("whole")))
