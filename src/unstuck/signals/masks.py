"""Masks: zeros and ones that enter beside the targets and say which of them the loss counts."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from unstuck.tape.program import Call, Outside, Program, Value

CHOOSING = {"mul", "imul", "rmul", "multiply", "getitem", "masked_select", "where"}
WEIGHT = {"binary_cross_entropy": 2, "binary_cross_entropy_with_logits": 2}
"""Losses with a weight for each row, and its position."""


def mask_of(program: Program, loss: Call | None, target: int | None, outside: tuple[Tensor, ...]) -> int | None:
    """The slot of the mask that a loss for each row is multiplied by or selected with; None if there is none."""
    if loss is None or target is None:
        return None
    given = loss.argument(WEIGHT.get(loss.name, 99), "weight")
    slots = [given.slot] if isinstance(given, Outside) and loss.name in WEIGHT else []
    slots += [r.slot for call in _onward(program, loss) if call.name in CHOOSING for r in _outside(call)]
    size, rows = outside[target].numel(), len(outside[target]) if outside[target].dim() else 0
    return next((s for s in slots if s != target and _is_mask(outside[s], size, rows)), None)


def _outside(call: Call) -> list[Outside]:
    return [r for r in call.refs() if isinstance(r, Outside)]


def _onward(program: Program, loss: Call) -> Iterator[Call]:
    """The calls that read the loss of each row, or what is made of it number by number."""
    reach = {Value(out) for out in loss.outs}
    for call in program.calls:
        if any(r in reach for r in call.refs()):
            yield call
            if call.op.elementwise or call.op.hands_on == "all":
                reach |= {Value(out) for out in call.outs}


def _is_mask(values: Tensor, size: int, rows: int) -> bool:
    return 1 < values.numel() in (size, rows) and bool(((values == 0) | (values == 1)).all())
