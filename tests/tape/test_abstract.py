"""What is known of a program's values without running it, held against the values."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from unstuck.tape.abstract import Knowns
from unstuck.tape.bounds import ANY
from unstuck.tape.direction import way
from unstuck.tape.program import Call, Outside, Program, Ref, Value, Weight


class Building:
    """A program written call by call; each gives the value it makes."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def __call__(self, function: str, *args: Any, shape: tuple[int, ...] = (), **kwargs: Any) -> Value:
        self.calls.append(Call(f"torch.{function}", args, kwargs, (len(self.calls),), shape=shape))
        return Value(len(self.calls) - 1)

    @property
    def program(self) -> Program:
        return Program(tuple(self.calls), len(self.calls) - 1, 2)

    def known(self, ref: Ref) -> Any:
        return Knowns(self.program)[ref]


X, W = Outside(0), Weight("w")


@pytest.fixture
def call() -> Building:
    return Building()


@pytest.mark.parametrize(
    ("calls", "bounds"),
    [
        ([("sigmoid",)], (0, 1)),
        ([("sigmoid",), ("Tensor.mul", 4.0), ("Tensor.sub", 2.0)], (-2, 2)),
        ([("tanh",), ("Tensor.__rsub__", 1.0)], (0, 2)),
        ([("relu",), ("neg",)], (-torch.inf, 0)),
        ([("Tensor.clamp", -1.0, 3.0), ("Tensor.mean", 1)], (-1, 3)),
        ([("tanh",), ("Tensor.clamp", 0.0)], (0, 1)),
        ([("sigmoid",), ("Tensor.view", -1), ("nn.functional.dropout", 0.5)], (0, 2)),
        ([("nn.functional.hardtanh", 0.0, 6.0)], (0, 6)),
        ([("Tensor.__pow__", 2), ("Tensor.sum",)], (0, torch.inf)),
        ([("relu",), ("nn.functional.linear", W)], ANY),
        ([("Tensor.add", 1.0)], ANY),
    ],
)
def test_bounds(call: Building, calls: list[tuple[Any, ...]], bounds: tuple[float, float]) -> None:
    ref: Ref = X
    for function, *args in calls:
        ref = call(function, ref, *args)
    assert call.known(ref).bounds == bounds
    assert (call.known(ref).limit is None) == (bounds == ANY)


def test_a_sum_of_two_bounded_values_is_bounded(call: Building) -> None:
    total = call("Tensor.add", call("relu", X), call("sigmoid", X))
    assert call.known(total).bounds == (0, torch.inf)


def test_a_probability_stays_one_through_clamps_and_logarithms(call: Building) -> None:
    made = call("log", call("Tensor.clamp", call("softmax", X, 1, shape=(4, 3)), 1e-6), shape=(4, 3))
    again = call("nn.functional.log_softmax", made, 1, shape=(4, 3))
    assert [c.name for c in call.known(made).squashed] == ["softmax"]
    assert [c.name for c in call.known(again).squashed] == ["softmax", "log_softmax"]
    assert call.known(call("nn.functional.linear", again, W)).squashed == ()


@pytest.mark.parametrize(("turned", "axis"), [(False, 2), (True, 1)])
def test_the_axis_that_a_product_adds_up(call: Building, turned: bool, axis: int) -> None:
    weights = call("softmax", X, 2, shape=(4, 7, 7))
    read = call("Tensor.transpose", weights, 1, 2, shape=(4, 7, 7)) if turned else weights
    call("matmul", read, Outside(1), shape=(4, 7, 5))
    assert Knowns(call.program).mixed_along(call.calls[0]) == axis


def test_the_axis_that_a_weighted_sum_adds_up(call: Building) -> None:
    weights = call("softmax", X, 0, shape=(4, 7))
    product = call("Tensor.mul", call("Tensor.unsqueeze", weights, -1, shape=(4, 7, 1)), Outside(1), shape=(4, 7, 5))
    call("Tensor.sum", product, 1, shape=(4, 5))
    assert Knowns(call.program).mixed_along(call.calls[0]) == 1


def test_a_cut_is_one_only_behind_a_weight(call: Building) -> None:
    call("Tensor.detach", X)
    cut = call("Tensor.detach", call("nn.functional.linear", X, W))
    assert [c.outs[0] for c in Knowns(call.program).cuts()] == [cut.id]


@pytest.mark.parametrize(
    ("calls", "sign"),
    [
        ([("Tensor.mean",), ("Tensor.neg",)], -1),
        ([("Tensor.mul", -2.0), ("Tensor.__rsub__", 1.0)], 1),
        ([("Tensor.neg",), ("Tensor.__pow__", 2), ("Tensor.sum",)], 1),
        ([("Tensor.mul", Outside(1)), ("Tensor.sum",)], None),
        ([("sin",)], None),
    ],
)
def test_the_direction_in_which_the_loss_moves(call: Building, calls: list[tuple[Any, ...]], sign: int | None) -> None:
    ref = start = call("nn.functional.linear", X, W)
    for function, *args in calls:
        ref = call(function, ref, *args)
    found = way(call.program, start)
    assert (found.sign if found else None) == sign


def test_branches_that_agree_are_joined(call: Building) -> None:
    start = call("nn.functional.linear", X, W)
    call("Tensor.add", call("exp", start), call("Tensor.mul", start, 2.0))
    found = way(call.program, start)
    assert found is not None
    assert found.sign == 1


def test_branches_that_disagree_have_no_direction(call: Building) -> None:
    start = call("nn.functional.linear", X, W)
    call("Tensor.sub", call("exp", start), start)
    assert way(call.program, start) is None
