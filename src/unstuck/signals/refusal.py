"""The exception that ended the run inside a loss of torch: its words, its place, and what the loss had been given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unstuck.diagnosis.model import Site
from unstuck.tape.model import Tape
from unstuck.tape.ops import LOSSES


@dataclass(frozen=True)
class Given:
    """A tensor that a loss was given."""

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
    """A loss that torch refused to compute. `site` is the person's line; the tensors are of that one batch."""

    loss: str
    message: str
    site: Site
    input: Given
    target: Given


def refusal(tape: Tape) -> Refusal | None:
    """What torch refused at the end of the run; None where the run did not end inside a loss."""
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
