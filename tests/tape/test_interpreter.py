"""Programs run again: the same values, and no side effects."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from unstuck.tape.interpreter import CannotReplay, run, table
from unstuck.tape.program import Call, Named, Outside, Program, Value

X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


def made(function: str, *args: Any, **kwargs: Any) -> torch.Tensor:
    """What one call on X makes."""
    return run(Program((Call(function, (Outside(0), *args), kwargs, (0,)),), 0, 1), {}, (X,), {})[0]


@pytest.mark.parametrize("name", ["hardswish", "hardsigmoid", "gelu", "silu", "elu", "mish"])
def test_activations_can_be_replayed(name: str) -> None:
    assert torch.equal(made(f"torch.nn.functional.{name}"), getattr(F, name)(X))


def test_unflatten_can_be_replayed() -> None:
    assert made("torch.Tensor.unflatten", 1, (2, 3)).shape == (4, 2, 3)


@pytest.mark.parametrize("given", [{"inplace": True}, {}])
def test_inplace_activations_leave_their_argument_alone(given: dict[str, bool]) -> None:
    before = X.clone()
    made("torch.nn.functional.leaky_relu", 0.1, *([] if given else [True]), **given)
    made("torch.relu_")
    made("torch.Tensor.mul_", 2.0)
    assert torch.equal(X, before)


def test_batch_norm_leaves_its_running_statistics_alone() -> None:
    mean, var = torch.zeros(6), torch.ones(6)
    call = Call("torch.nn.functional.batch_norm", (Outside(0), Outside(1), Outside(2)), {"training": True}, (0,))
    out = run(Program((call,), 0, 3), {}, (X, mean, var), {})[0]
    assert torch.allclose(out.mean(0), torch.zeros(6), atol=1e-6)
    assert torch.equal(mean, torch.zeros(6))


def test_a_call_under_no_grad_has_no_gradient() -> None:
    x = X.clone().requires_grad_()
    call = Call("torch.Tensor.exp", (Outside(0),), {}, (0,), grad=False)
    assert not run(Program((call,), 0, 1), {}, (x,), {})[0].requires_grad


def test_only_torch_functions_can_be_named() -> None:
    assert "os.system" not in table()
    with pytest.raises(CannotReplay, match=r"os\.system"):
        made("os.system")
    with pytest.raises(CannotReplay, match="load"):
        made("torch.Tensor.to", Named("dtype", "load"))


def test_a_value_comes_from_behind_the_calls_that_hand_it_on() -> None:
    calls = (
        Call("torch.exp", (Outside(0),), {}, (0,)),
        Call("torch.Tensor.view", (Value(0), -1), {}, (1,)),
        Call("torch.Tensor.__getitem__", (Value(1), 0), {}, (2,)),
    )
    program = Program(calls, 2, 1)
    assert program.source(Value(2)) == Value(0)
    assert program.source(Value(2), lambda call: True) == Outside(0)
    assert list(program.after(calls[0])) == list(calls[1:])
