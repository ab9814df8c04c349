"""Weights that hold what an initialisation filled in, and weights into which something else was written."""

from __future__ import annotations

import pytest

from tests.recorded import Record

SCRIPT = """
import copy
import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
{made}
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    model(torch.randn(5, 4, dtype=model.weight.dtype)).square().mean().backward()
    optimizer.step()
"""
LAYER = "model = nn.Linear(4, 3)"
FRESH = {
    "constructor": LAYER,
    "initialisation": f"{LAYER}; nn.init.normal_(model.weight, std=0.1); nn.init.xavier_uniform_(model.weight)",
    "by hand": f"{LAYER}; model.weight.data.normal_(0, 0.1)",
    "scaled": f"{LAYER}; model.weight.data.mul_(0.1)",
    "another type": f"{LAYER}.double()",
}
FILLED = {
    "loaded": f"{LAYER}; model.load_state_dict(nn.Linear(4, 3).state_dict())",
    "copied": f"{LAYER}; model.weight.data.copy_(torch.from_numpy(np.ones((3, 4), np.float32)))",
    "replaced": f"{LAYER}; model.weight.data = torch.ones(3, 4)",
    "a new tensor": f"{LAYER}; model.weight = nn.Parameter(torch.ones(3, 4))",
    "a part drawn": f"{LAYER}; model.weight.data.copy_(torch.ones(3, 4)); model.weight.data[0].normal_()",
    "a copy": f"{LAYER}; model = copy.deepcopy(model)",
}


@pytest.mark.parametrize("made", FRESH.values(), ids=FRESH)
def test_an_initialisation_fills_a_weight(made: str, record: Record) -> None:
    assert _fresh(made, record)


@pytest.mark.parametrize("made", FILLED.values(), ids=FILLED)
def test_what_is_loaded_or_copied_is_not_fresh(made: str, record: Record) -> None:
    assert not _fresh(made, record)


def _fresh(made: str, record: Record) -> bool:
    tape = record(SCRIPT.format(made=made))
    return next(p.fresh for p in tape.parameters if p.name.endswith("weight"))
