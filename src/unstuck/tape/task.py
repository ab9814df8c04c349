"""What a program asks of the network: read from the loss it is given and the targets that meet it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

from torch import Tensor

from unstuck.tape.likelihood import likelihood
from unstuck.tape.ops import LOSSES, SUBTRACTIONS, Op, Scale, of
from unstuck.tape.program import Call, Outside, Program, Value

Kind = Literal["binary", "classes", "multilabel", "regression", "unknown"]
LOGARITHMIC = "poisson_nll_loss"
"""The loss that is given logarithms of what is asked for, unless told otherwise."""
MOST_CLASSES = 1000
SMOOTHED, LOOKED_AT = 2, 100_000


@dataclass(frozen=True)
class Task:
    """The task of one program: which value is the output, which slot the target."""

    kind: Kind
    scale: Scale
    output: int | None
    """The value that the loss is given (None where the task is unknown)."""
    target: int | None
    """The slot of the target."""
    loss: Call | None = None
    classes: int = 0

    @property
    def metric(self) -> str:
        """The yardstick's name."""
        return {"regression": "r2", "unknown": "loss"}.get(self.kind, "accuracy")

    def numbers(self, output: Tensor) -> Tensor:
        """Outputs of a regression in the units of its targets."""
        return output.sigmoid() if self.scale == "logit" else output.exp() if self.scale == "logarithm" else output

    @classmethod
    def of(
        cls, program: Program, outside: tuple[Tensor, ...], more: Callable[[int], Tensor | None] = lambda _: None
    ) -> Self:
        """The task of a program; `more` may give further rows of a slot than the one batch in `outside`."""
        call, output, target = _loss_call(program, outside)
        op, scale = (call.op, call.op.scale or "value") if call else (Op(""), "value")
        if call is None and (by_hand := likelihood(program, outside)) is not None:
            call, output, target, op, scale = (
                by_hand.call,
                by_hand.output,
                by_hand.target,
                of(by_hand.like),
                by_hand.scale,
            )
        if output is None or target is None:
            return cls("unknown", "value", None, None, call)
        if call is not None and call.name == LOGARITHMIC and call.argument(2, "log_input", True) is not False:
            scale = "logarithm"
        rows = more(target)
        kind, classes = _kind(op, outside[target] if rows is None else rows, _shape(program, output))
        return cls(kind, scale, output.id, target, call, classes)


def handed_on(training: Program, output: int, program: Program) -> Value | None:
    """The output of the training step in another program: what the same line makes there, or the same calls."""
    made = []
    for call in training.calls:
        made.append(call)
        if output in call.outs:
            break
    lines = {(c.function, c.site) for c in made}
    alike = [c for c in program.calls if (c.function, c.site) in lines]
    # The layers of a Sequential stand at the line that calls it, which is another one in the evaluation.
    whole = any((c.function, c.site) == (made[-1].function, made[-1].site) for c in alike)
    found = alike[-1] if whole else _same_calls(made, program) or next(iter(alike[-1:]), None)
    return Value(found.outs[0]) if found else None


def _same_calls(made: list[Call], program: Program) -> Call | None:
    """The call that comes last of a chain, where the chain's functions read the same weights elsewhere."""
    there, found = list(program.calls), None
    for call in made:
        place = next((n for n, c in enumerate(there) if _kin(c, call)), None)
        if place is not None:
            found, there = there[place], there[place + 1 :]
        elif call.op.kind != "dropout" and call.op.hands_on != "all":  # these an evaluation may do without
            return None
    return found


def _kin(one: Call, other: Call) -> bool:
    """Whether two calls do the same with the same weights, or with those of a copy of the network."""
    return one.function == other.function and _inside(one) == _inside(other)


def _inside(call: Call) -> list[str]:
    """The names of a call's weights without the name of the network that they belong to."""
    return [name.partition(".")[2] or name for name in call.weights()]


def _loss_call(program: Program, outside: tuple[Tensor, ...]) -> tuple[Call | None, Value | None, int | None]:
    named = [c for c in program.calls if c.name in LOSSES]
    found = next((asked for call in named if (asked := _asked(program, call)) is not None), None)
    if found is not None:  # of a loop over a sequence the last step knows what came before; rows are all alike
        again = [c for c in named if (c.function, c.site) == (found[0].function, found[0].site) and c.site is not None]
        later = (asked for call in reversed(again) if (asked := _asked(program, call)) is not None)
        made = program.maker(found[1])
        own = (asked for asked in later if program.maker(asked[1]) is not made)
        return next((asked for asked in own if not _padded(asked[0], outside[asked[2]])), found)
    if named:
        return named[0], None, None
    return _difference(program)


def _padded(loss: Call, target: Tensor) -> bool:
    """Whether most rows ask for nothing, or all for the same: their sequences have ended."""
    given = loss.argument(4, "ignore_index", -100)
    ignored = given if isinstance(given, int) and not isinstance(given, bool) else -100
    return float((target == ignored).double().mean()) > 0.5 or (
        target.numel() > 1 and bool((target == target.flatten()[0]).all())
    )


def _asked(program: Program, call: Call) -> tuple[Call, Value, int] | None:
    """A loss with the network's output and the slot of the target that it is given."""
    output, target = call.argument(0, "input"), call.argument(1, "target")
    if isinstance(output, Value) and isinstance(target, Outside):
        return call, output, target.slot
    if isinstance(target, Value) and isinstance(output, Outside):  # given the other way round
        return call, target, output.slot
    if isinstance(output, Value) and isinstance(target, Value):  # both in other units than the batch's
        bare = _in_units_of_the_batch(program, output, target)
        return None if bare is None else (call, *bare)
    return None


def _in_units_of_the_batch(program: Program, output: Value, target: Value) -> tuple[Value, int] | None:
    """Undo, on both sides, the same shifts and scalings by numbers, until the target is the batch's own."""
    for (_, left), (_, right) in zip(program.back(output), program.back(target), strict=False):
        shifted = left.name == right.name and left.op.kind == "arithmetic" and left.op.linear
        if not shifted or len(left.refs()) != 1 or left.args[1:] != right.args[1:]:
            return None
        mine, theirs = left.refs()[0], right.refs()[0]
        if isinstance(mine, Value) and isinstance(theirs, Outside):
            return mine, theirs.slot
    return None


def _difference(program: Program) -> tuple[Call | None, Value | None, int | None]:
    """A hand-written residual: the only subtraction of an outside tensor from a value near the loss."""
    for call in reversed(program.calls):
        refs = call.refs()
        if call.name in SUBTRACTIONS and len(refs) == 2:
            value = next((r for r in refs if isinstance(r, Value)), None)
            outside = next((r for r in refs if isinstance(r, Outside)), None)
            if value is not None and outside is not None and not meets_weights(program, call):
                return call, value, outside.slot
    return None, None, None


def meets_weights(program: Program, call: Call) -> bool:
    """Whether what a call makes goes through further weights before it reaches the loss: then it is no residual."""
    return any(later.weights() for later in program.after(call))


def _shape(program: Program, output: Value) -> tuple[int, ...]:
    maker = program.maker(output)
    return maker.shape_of(output.id) or () if maker else ()


def _kind(loss: Op, target: Tensor, output: tuple[int, ...]) -> tuple[Kind, int]:
    if loss.classes:
        if _multi_hot(target, output):
            return "multilabel", 2
        return "classes", output[1] if len(output) > 1 else (output[0] if output else 0)
    if not target.numel():
        return "unknown", 0
    whole = bool((target == target.round()).all()) if target.is_floating_point() else True
    zero_one = whole and bool(((target == 0) | (target == 1)).all())
    wide = target.dim() > 1 and target.shape[-1] > 1
    if loss.scale in ("probability", "logit"):
        if _graded(target):
            return "regression", 0
        return ("multilabel" if wide else "binary"), 2
    if zero_one and wide and target.shape[-1] <= MOST_CLASSES and bool((target.sum(-1) == 1).all()):
        return "classes", target.shape[-1]
    if zero_one and not wide and bool(target.any()) and not bool(target.all()):
        return "binary", 2
    return "regression", 0


def _graded(target: Tensor) -> bool:
    """Shares between 0 and 1, of more than two sizes: grey values, not labels (smoothed labels have two)."""
    within = target.is_floating_point() and bool(((target >= 0) & (target <= 1)).all())
    return within and len(target.flatten()[:LOOKED_AT].unique()) > SMOOTHED


def _multi_hot(target: Tensor, output: tuple[int, ...]) -> bool:
    """Rows of zeros and ones of which several may be one: labels that do not exclude each other."""
    if not target.is_floating_point() or target.dim() < 2 or target.shape[1:] != output[1:]:
        return False
    zero_one = bool(((target == 0) | (target == 1)).all())
    return zero_one and not bool((target.sum(1) == 1).all())
