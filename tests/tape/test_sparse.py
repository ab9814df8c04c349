"""Recorded matrices that are nearly all zeros: products by plain autograd leave the zeros out."""

from __future__ import annotations

import pytest
import torch

from tests.recorded import Record
from unstuck.micro.step import Recorded
from unstuck.replay.bench import Bench
from unstuck.replay.cost import estimate
from unstuck.tape import sparse

GRAPH = """
import torch
from torch import nn

torch.manual_seed(0)
n = 700
ends = torch.randint(0, n, (2, 4 * n))
edges = torch.zeros(n, n)
edges[ends[0], ends[1]] = 1.0
edges = (edges + torch.eye(n)) / (edges + torch.eye(n)).sum(1, keepdim=True)
x = torch.randn(n, 12)
y = (edges @ x)[:, :3].argmax(1)
first, last = nn.Linear(12, 16), nn.Linear(16, 3)
optimizer = torch.optim.Adam([*first.parameters(), *last.parameters()], lr=0.02)
for epoch in range(60):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(torch.{product}(edges, last(torch.relu(torch.{product}(edges, first(x))))), y)
    loss.backward()
    optimizer.step()
print(loss.item())
"""


@pytest.mark.parametrize("product", ["mm", "spmm", "matmul"])
def test_a_product_without_the_zeros_has_the_same_loss_and_gradients(record: Record, product: str) -> None:
    tape = record(GRAPH.format(product=product))
    step = Recorded(tape).first
    slots = sparse.multiplied(step.program)
    entered = [t for t in sparse.entering(step.program, step.outside) if t.is_sparse]
    assert len(slots) == len(entered) == 1
    thin, whole = step.backward(), step.backward(slots=range(len(step.outside)))  # asked for, a matrix stays dense
    torch.testing.assert_close(thin.loss, whole.loss)
    for name, gradient in thin.gradients.items():
        torch.testing.assert_close(gradient, whole.gradients[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("call", ["torch.sparse.mm(thin, {})", "torch.sparse.addmm(torch.zeros(1), thin, {})"])
def test_products_of_torch_sparse_are_run_again(record: Record, call: str) -> None:
    text = GRAPH.replace("torch.{product}(edges, first(x))", call.format("first(x)"))
    text = text.replace("torch.{product}(edges, ", "torch.mm(edges, ").replace(
        "first, last", "thin = edges.to_sparse()\nfirst, last", 1
    )
    again = Recorded(record(text))
    assert again.tape.programs[0].missing == ""
    assert again.first.loss() == pytest.approx(again.tape.passes[0].loss, rel=1e-5)


def test_its_lanes_one_by_one_are_estimated_by_the_numbers_that_are_left(record: Record) -> None:
    tape = record(GRAPH.format(product="mm"))
    program = tape.programs[0]
    cost = estimate(tape, program)
    assert cost.alone < cost.lane / 5
    assert Bench(tape).why == ""


@pytest.mark.parametrize("filled", [0.0, 0.01, 0.5])
def test_only_what_is_nearly_all_zeros_is_taken_for_sparse(filled: float) -> None:
    matrix = (torch.rand(600, 600, generator=torch.Generator().manual_seed(1)) < filled).float()
    found = sparse.without_zeros(matrix)
    assert (found is not None) == (filled < 0.02)
    if found is not None:
        assert torch.equal(found.to_dense(), matrix)


def test_a_small_matrix_stays_as_it_is() -> None:
    assert sparse.without_zeros(torch.zeros(8, 8)) is None


def test_a_matrix_that_something_else_reads_stays_as_it_is(record: Record) -> None:
    read = "    loss = loss + 0 * (edges * first.weight[0, 0]).sum()\n    loss.backward()"
    text = GRAPH.format(product="mm").replace("    loss.backward()", read)
    step = Recorded(record(text)).first
    assert sparse.multiplied(step.program) == frozenset()
