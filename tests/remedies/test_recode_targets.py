"""Targets are recoded where the table they come from is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from tests.scripts import edited, run
from unstuck.diagnosis.examine import Readings, examine
from unstuck.rules.catalogue import catalogue

TABLE = """
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

table = pd.DataFrame({{"a": range(60), "score": [1 + n % 2 for n in range(60)]}})
x = torch.tensor(table[["a"]].values, dtype=torch.float32)
y = torch.tensor(table["score"].to_numpy(), dtype=torch.float32)
model, criterion = nn.Sequential(nn.Linear(1, 1), nn.Flatten(0)), nn.BCEWithLogitsLoss()
{loop}
    loss = criterion(model(xb), yb)
    loss.backward()
"""
SPLIT = "train, test = random_split(TensorDataset(x, y), [40, 20])\nfor xb, yb in DataLoader(train, batch_size=10):"
ORDERED = "for rows in torch.randperm(60).split(10):\n    xb, yb = x[rows], y[rows]"


@pytest.mark.parametrize("loop", [SPLIT, ORDERED])
def test_targets_of_a_table_are_recoded_where_it_is_read(loop: str, tmp_path: Path) -> None:
    text = TABLE.format(loop=loop)
    findings, _ = examine(Readings(tape_of(text, tmp_path)), {"label-range": catalogue()["label-range"]})
    new = edited(findings[0].remedies[0], text)
    assert '\ntable["score"] = table["score"] - 1\n' in new
    run(new)
