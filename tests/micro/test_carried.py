"""States that are carried from step to step."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.micro import carried
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
series = torch.randn(20, 240, 2)
y = (series.cumsum(1)[..., 0] > 0).long()
cells, head = nn.{cells}(2, 8, batch_first=True), nn.Linear(8, 2)
optimizer = torch.optim.Adam([*cells.parameters(), *head.parameters()], lr=0.01)
for epoch in range(3):
    state = None
    for at in {order}:
        out, state = cells(series[{rows}, at : at + 12], state)
        loss = nn.functional.cross_entropy(head(out).flatten(0, 1), y[{rows}, at : at + 12].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        {carried}
"""
IN_ORDER, SHUFFLED = "range(0, 240, 12)", "(12 * torch.randperm(20)).tolist()"
GRU, LSTM = "state = state.detach()", "state = tuple(s.detach() for s in state)"


@pytest.mark.parametrize(("cells", "detached"), [("GRU", GRU), ("LSTM", LSTM)])
def test_a_state_of_other_rows_is_told(cells: str, detached: str, record: Record) -> None:
    text = SCRIPT.format(cells=cells, order=SHUFFLED, rows=":", carried=detached)
    (told,) = carried.ask(Recorded(record(text))).statements
    assert told.site is not None and told.site.line == 13 and "of other rows" in told.what


def test_a_series_in_order_may_carry_its_state(record: Record) -> None:
    reading = carried.ask(Recorded(record(SCRIPT.format(cells="GRU", order=IN_ORDER, rows=":", carried=GRU))))
    assert reading.again and reading.share == 1 and not reading.statements


def test_steps_that_start_from_zeros_carry_nothing(record: Record) -> None:
    text = SCRIPT.format(cells="GRU", order=SHUFFLED, rows=":", carried="state = None")
    with pytest.raises(NotApplicable, match="no step reads"):
        carried.ask(Recorded(record(text)))
