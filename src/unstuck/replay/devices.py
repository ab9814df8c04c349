"""Where lanes train: on the device on which the script did, if it is here and has room for them."""

from __future__ import annotations

import torch

from unstuck.tape.model import Tape

FAST = ("cuda", "xpu")
"""Types of devices with autograd, float64 and lanes; a script that trained elsewhere is replayed on the CPU."""
ROOM = 0.8
"""The share of a device's free memory that lanes may fill: the allocator and its fragments need the rest."""


def device_of(tape: Tape) -> str:
    """The device of the tape's training if it is present here, else "cpu"."""
    kind, _, number = tape.facts.device.partition(":")
    if kind not in FAST or not present(kind):
        return "cpu"
    return tape.facts.device if int(number or 0) < count(kind) else f"{kind}:0"


def present(kind: str) -> bool:
    """Whether there is a device of this type."""
    return bool(getattr(torch, kind).is_available())


def count(kind: str) -> int:
    """How many devices of this type there are."""
    return int(getattr(torch, kind).device_count())


def room(device: str) -> int | None:
    """Bytes that lanes may take on a device; None on the CPU, whose limit is another (`extent`)."""
    if device == "cpu":
        return None
    free, _ = getattr(torch, device.partition(":")[0]).mem_get_info(device)
    return int(ROOM * free)
