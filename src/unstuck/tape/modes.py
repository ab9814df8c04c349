"""The mode of a recorded call: whether it acted as in training or as in evaluation, by the arguments that it was given.

Modules hand their own mode to these functions, so the calls tell it of every layer, whoever wrote it and wherever.
"""

from __future__ import annotations

import msgspec

from unstuck.tape.program import Call, Program

DROPPING = {"dropout", "dropout1d", "dropout2d", "dropout3d"}
"""Functions that drop unless they are told not to; the others (alpha_dropout) drop only where they are told to."""
RECURRENT = {"lstm", "gru", "rnn_tanh", "rnn_relu"}
ATTENTION = "scaled_dot_product_attention"
MULTI_HEAD = "multi_head_attention_forward"


def mode(call: Call) -> bool | None:
    """True: as in training; False: as in evaluation; None where the call does the same in both."""
    if call.op.kind == "dropout":
        default = call.name in DROPPING
        return bool(call.argument(2, "training", default)) if probability(call) else None
    if call.name == "batch_norm":
        return _of_batch_norm(call)
    if call.name == "instance_norm":
        held = call.argument(1, "running_mean") is not None
        return bool(call.argument(5, "use_input_stats", True)) if held else None
    if call.name in RECURRENT:
        return _of_recurrent(call)
    if call.name == "rrelu":
        return bool(call.argument(3, "training", False))
    if call.name == MULTI_HEAD:
        drops = call.argument(10, "dropout_p", 0.0)
        return bool(call.argument(13, "training", True)) if drops else None
    if call.name == ATTENTION:
        return True if call.argument(4, "dropout_p", 0.0) else None
    return None


def modes(program: Program) -> list[tuple[Call, bool]]:
    """The calls of a program that have a mode, each with it."""
    return [(c, found) for c in program.calls if (found := mode(c)) is not None]


def probability(call: Call) -> float:
    """The share that a dropout drops."""
    p = call.argument(1, "p", 0.5)
    return float(p) if isinstance(p, int | float) else 0.0


def switched(call: Call, training: bool = False) -> Call:
    """A dropout, batch norm or attention of torch.nn.functional, acting as in evaluation; a batch norm in `training`
    too."""
    if call.name == ATTENTION:
        return _with(call, 4, "dropout_p", 0.0)
    if call.name == MULTI_HEAD:
        return _with(call, 13, "training", training)
    return _with(call, 2 if call.op.kind == "dropout" else 5, "training", training)


def in_evaluation(program: Program) -> Program:
    """The program with each dropout, batch norm and attention that acted as in training acting as in evaluation."""
    plain = lambda c: c.op.kind == "dropout" or c.name in ("batch_norm", ATTENTION)
    calls = tuple(switched(c) if plain(c) and mode(c) else c for c in program.calls)
    return msgspec.structs.replace(program, calls=calls)


def in_training(program: Program) -> Program:
    """The program with each dropout and batch norm that acted as in evaluation acting as in training."""
    turn = lambda c: _with(c, 2 if c.op.kind == "dropout" else 5, "training", True)
    idle = lambda c: (c.op.kind == "dropout" or c.name == "batch_norm") and mode(c) is False
    return msgspec.structs.replace(program, calls=tuple(turn(c) if idle(c) else c for c in program.calls))


def _with(call: Call, at: int, keyword: str, value: object) -> Call:
    if len(call.args) > at:
        return msgspec.structs.replace(call, args=(*call.args[:at], value, *call.args[at + 1 :]))
    return msgspec.structs.replace(call, kwargs={**call.kwargs, keyword: value})


def _of_batch_norm(call: Call) -> bool | None:
    plain = "functional" not in call.function
    held = call.argument(3 if plain else 1, "running_mean") is not None
    return bool(call.argument(5, "training", False)) if held else None


def _of_recurrent(call: Call) -> bool | None:
    # (input, hx, weights, has_biases, layers, dropout, train, ...); of a packed sequence one argument more comes first.
    flags = [a for a in call.args if isinstance(a, bool | int | float)][:4]
    if len(flags) < 4 or not isinstance(flags[3], bool):
        return None
    return flags[3] if flags[2] and flags[1] > 1 else None
