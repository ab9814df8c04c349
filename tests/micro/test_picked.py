"""Indices that do not reach the rows they are to pick from."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.micro import picked
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
likes = torch.randint(0, 200, (1000, 2))
users, items = nn.Embedding(200, 8), nn.Embedding({rows}, 8)
optimizer = torch.optim.Adam([*users.parameters(), *items.parameters()], lr=0.01)
for step in range(20):
    user, item = likes[torch.randint(0, 1000, (100,))].T
    other = {other}
    better = (users(user) * items(item)).sum(1)
    worse = (users(user) * items(other)).sum(1)
    loss = -nn.functional.logsigmoid(better - worse).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
CLASSES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 6)
y = (x[:, 0] > 0).long()
model, prior = nn.Linear(6, 2), nn.Linear(6, 12)
optimizer = torch.optim.Adam([*model.parameters(), *prior.parameters()], lr=0.01)
for rows in torch.randperm(400).split(12):
    shift = prior.bias{index}
    loss = nn.functional.cross_entropy(model(x[rows]) + shift[:, None], y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def test_random_ids_that_stop_early_are_told_of(record: Record) -> None:
    text = SCRIPT.format(rows=200, other="torch.randint(0, 24, (100,))")
    (told,) = picked.ask(Recorded(record(text))).statements
    assert "none is 24 or more, though the table has 200 rows" in told.what
    assert told.site is not None and told.site.line == 13


@pytest.mark.parametrize(
    "rows, other",
    [
        (200, "torch.randint(0, 200, (100,))"),
        (200, "(24 * torch.rand(100) ** 2).long()"),  # no even draws: the words of a text, say
        (600, "torch.randint(0, 24, (100,))"),  # nobody reads the table's end
        (200, "torch.zeros(100, dtype=torch.long)"),
    ],
)
def test_other_ids_are_not(rows: int, other: str, record: Record) -> None:
    assert not picked.ask(Recorded(record(SCRIPT.format(rows=rows, other=other)))).statements


GRAPHS = """
import torch
from torch import nn

torch.manual_seed(0)
one, two, head = nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 2)
optimizer = torch.optim.Adam([*one.parameters(), *two.parameters(), *head.parameters()], lr=0.01)
for step in range(6):
    x, graph = torch.randn(80, 3), torch.arange(8).repeat_interleave(10)
    edges = torch.randint(0, 10, (2, 160))
    source, target = edges + {offset}
    hidden = one(x).relu()
    hidden = two(hidden + torch.zeros_like(hidden).index_add_(0, target, hidden[source])).relu()
    pooled = torch.zeros(8, 8).index_add_(0, graph, hidden)
    loss = nn.functional.cross_entropy(head(pooled), torch.randint(0, 2, (8,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize("offset, told", [("0", True), ("10 * torch.arange(8).repeat_interleave(20)", False)])
def test_edges_of_the_first_graph_only_are_told_of(offset: str, told: bool, record: Record) -> None:
    statements = picked.ask(Recorded(record(GRAPHS.format(offset=offset)))).statements
    assert [("reads only the first 10 of 80 rows" in s.what) for s in statements] == [True] * told


def test_a_table_of_weights_may_be_read_by_classes(record: Record) -> None:
    assert not picked.ask(Recorded(record(CLASSES.format(index="[y[rows]]")))).statements


def test_a_step_without_an_index_has_nothing_to_tell(record: Record) -> None:
    with pytest.raises(NotApplicable):
        picked.ask(Recorded(record(CLASSES.format(index=""))))
